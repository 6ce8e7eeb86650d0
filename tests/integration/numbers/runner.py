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
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.integration.numbers.cases import REPLICAS, Case, references, refused, trains

Results = dict[str, dict[str, Any]]
"""The arrays of each process, by their name."""

TOLERANCE: Final = {"float32": 1e-6, "mixed_bfloat16": 2.0**-6, "mixed_float16": 2.0**-9}
"""The difference that counts as equal, absolute and relative. For half precision it is four times the distance between
1 and the next number."""
PROCESSES: Final = {
    "single": ["reference1", "reference2", "reference3", "one", "mirrored2", "server"],
    "mirrored3": ["mirrored3"],
    "multi0": ["multi"],
    "multi1": ["multi"],
}


def train(cases: list[Case], folder: Path) -> Results:
    """Return the results of all cases under all strategies. Their files are in `folder`.

    Raises:
        RuntimeError: A process failed.

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
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(codes):
        raise RuntimeError("\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("*.err"))))
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def _started(folder: Path, name: str, strategies: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Return the process called `name`, which trains all cases under `strategies`."""
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "4", "TF_CPP_MIN_LOG_LEVEL": "2", **variables}
    module = f"{__package__}.process"
    command = [sys.executable, "-m", module, str(folder / "cases.json"), str(folder), *strategies]
    with (folder / f"{name}.err").open("w") as errors:
        return subprocess.Popen(command, env=environment, stderr=errors)


def free_addresses(count: int) -> tuple[str, ...]:
    """Return addresses that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses


def of_case(results: dict[str, Any], number: int, prefix: str = "") -> dict[str, Any]:
    """Return the arrays of one case whose names begin with `prefix`, which is left out of the names."""
    start = f"{number:04}/{prefix}"
    return {name.removeprefix(start): value for name, value in results.items() if name.startswith(start)}


def differences(results: Results, number: int, settings: Case) -> list[str]:
    """Return a line for each branch of a case and each process where N replicas train other numbers than one device."""
    lines = []
    for name in results:
        strategy = "multi" if name.startswith("multi") else name
        if strategy not in REPLICAS or not trains(settings, strategy):
            continue
        for branch, part in enumerate(settings["branches"]):
            if refused(settings, part, strategy):
                continue
            reference = references(settings, part, REPLICAS[strategy])
            found, right = (of_case(results[each], number, f"{branch}/") for each in (name, reference))
            if worst := _worst(found, right, TOLERANCE[settings["precision"]]):
                about = {key: settings[key] for key in ("precision", "weights", "jit")}
                lines.append(f"{name} and {reference}: {worst} in {part} {about}")
    return lines


def _worst(found: dict[str, Any], right: dict[str, Any], tolerance: float) -> str | None:
    """Return where `found` differs most from `right`, None if it is within the tolerance."""
    if not found or sorted(found) != sorted(right):
        return f"{len(found)} arrays and {len(right)}"
    excess = {
        key: float(np.max(np.abs(value - right[key]) - tolerance * np.abs(right[key]), initial=0.0))
        for key, value in found.items()
    }
    key = max(excess, key=lambda each: excess[each])
    return f"{key} is {excess[key]:.1e} apart" if not excess[key] <= tolerance else None
