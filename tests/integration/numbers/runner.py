"""Start the processes that train the cases, and compare what comes out with one device.

A process can have only one number of replicas, and nothing after the servers of ParameterServer. So each list of cases
takes four processes.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.integration.numbers.cases import REPLICAS, Case, parts_of, references, trains

Results = dict[tuple[str, int], dict[str, Any]]
"""The arrays of each strategy (`multi0` and `multi1` for the two workers) and case, by their name."""

TOLERANCE: Final = {"float32": 1e-6, "mixed_bfloat16": 2.0**-6, "mixed_float16": 2.0**-9}
"""The difference that counts as equal, absolute and relative. For half precision it is four times the distance between
1 and the next number."""
SLOTS: Final = 10
"""The optimizers' own variables may differ by this factor more: Ftrl divides some of its own by the learning rate."""
PROCESSES: Final = {
    "single": ["reference1", "reference2", "reference3", "one", "mirrored2", "server"],
    "mirrored3": ["mirrored3"],
    "multi0": ["multi"],
    "multi1": ["multi"],
}


POLL_EVERY: Final = 0.1


def train(cases: list[Case], folder: Path, stop: threading.Event | None = None) -> Results:
    """Return the results of all cases under all strategies. Their files are in `folder`.

    Args:
        cases: The cases.
        folder: An empty folder.
        stop: Ends the processes when it is set.

    Raises:
        RuntimeError: A process failed, or `stop` is set.

    """
    (folder / "cases.json").write_text(json.dumps(cases))
    cluster = {"worker": free_addresses(2)}
    processes = []
    for name, strategies in PROCESSES.items():
        variables = {}
        if strategies == ["multi"]:
            task = {"type": "worker", "index": int(name.removeprefix("multi"))}
            variables = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        processes.append(_started(folder, name, strategies, variables))
    try:
        # A worker waits indefinitely for one that has failed.
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            if stop is not None and stop.wait(POLL_EVERY):
                raise RuntimeError("stopped")
            time.sleep(POLL_EVERY)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
    if any(codes):
        raise RuntimeError("\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("*.err"))))
    return loaded(folder)


def loaded(folder: Path) -> Results:
    """Return the results in the files of `folder`."""
    files = {path: path.stem.rpartition("-") for path in folder.glob("*.npz")}
    return {(name, int(number)): dict(np.load(path)) for path, (name, _, number) in files.items()}


def _started(folder: Path, name: str, strategies: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Return the process called `name`, which trains all cases under `strategies`."""
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "4", "TF_CPP_MIN_LOG_LEVEL": "2", **variables}
    module = f"{__package__}.process"
    command = [sys.executable, "-m", module, str(folder / "cases.json"), str(folder), *strategies]
    with (folder / f"{name}.err").open("w") as errors:
        # Ctrl-C belongs to the parent, which ends this process.
        return subprocess.Popen(command, env=environment, stderr=errors, start_new_session=True)


def free_addresses(count: int) -> tuple[str, ...]:
    """Return addresses that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses


def differences(results: Results, number: int, settings: Case) -> list[str]:
    """Return a line for each branch of a case and each process where N replicas train other numbers than one device."""
    lines = []
    for process, case in sorted(results):
        strategy = "multi" if process.startswith("multi") else process
        if case != number or strategy not in REPLICAS or not trains(settings, strategy):
            continue
        for branch, part in parts_of(settings, strategy).items():
            reference = references(settings, part, REPLICAS[strategy])
            found, right = (_of_branch(results[each, number], branch) for each in (process, reference))
            if worst := _worst(found, right, TOLERANCE[settings["precision"]]):
                about = {key: settings[key] for key in ("precision", "weights", "jit")}
                lines.append(f"{process} and {reference}: {worst} in {part} {about}")
    return lines


def _of_branch(results: dict[str, Any], branch: int) -> dict[str, Any]:
    return {name: value for name, value in results.items() if name.startswith(f"{branch}/")}


def _worst(found: dict[str, Any], right: dict[str, Any], tolerance: float) -> str | None:
    """Return where `found` differs most from `right`, None if it is within the tolerance."""
    if not found or sorted(found) != sorted(right):
        return f"{len(found)} arrays and {len(right)}"
    errors = {key: _error(value, right[key]) / (SLOTS if "/optimizer/" in key else 1) for key, value in found.items()}
    key = max(errors, key=lambda each: errors[each])
    return f"{key} is {errors[key]:.1e} apart" if errors[key] > tolerance else None


def _error(value: Any, right: Any) -> float:
    """Return the largest difference, relative to numbers above 1; infinite if one is not a number."""
    error = np.abs(value - right) / (1.0 + np.abs(right))
    return float(np.max(np.nan_to_num(error, nan=np.inf), initial=0.0))
