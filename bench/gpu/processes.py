"""Run a case in processes of its own, and find out how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.gpu.cases import Case
from bench.gpu.child import STARTED
from tfd.local.network import loopback_addresses

OK, NO_MEMORY, FAILED, TIMEOUT = "ok", "out of memory", "failed", "timeout"
_SIGNS_OF_NO_MEMORY: Final = (
    "resourceexhausted",
    "resource_exhausted",
    "out of memory",
    "failed to allocate",
    "oom when",
)
_LAST: Final = 1500
"""Characters of a log or an error in the report."""
_GRACE: Final = 5.0
_POLL: Final = 0.05


def run(case: Case, *, gpus: int, timeout: float) -> dict[str, Any]:
    """Run `case`; return its measurements with `status`, and with `error` if the status is not `ok`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        what = json.dumps({**asdict(case), "gpus": gpus})
        if case.strategy == "MultiWorkerMirrored":
            ends = _children(what, folder, _two_workers(gpus), timeout)
        else:
            ends = _children(what, folder, [{}], timeout)
        return _result(folder, ends)


def devices(timeout: float) -> dict[str, Any]:
    """Return the GPUs that TensorFlow finds in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        return _result(Path(scratch), _children("devices", Path(scratch), [{}], timeout))


def out_of_memory(text: str) -> bool:
    """Return whether an error or a log shows that the memory was too small."""
    return any(sign in text.lower() for sign in _SIGNS_OF_NO_MEMORY)


def _two_workers(gpus: int) -> list[dict[str, str]]:
    """Return the variables of two workers, each with a GPU of its own if there are two."""
    names = ["worker-0", "worker-1"]
    addresses = loopback_addresses(names)
    cluster = {"worker": [addresses[name] for name in names]}
    found = []
    for index in range(2):
        variables = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
        if gpus > 1:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")
            variables["CUDA_VISIBLE_DEVICES"] = visible[index]
        found.append(variables)
    return found


def _children(what: str, folder: Path, variables: Sequence[Mapping[str, str]], timeout: float) -> list[int | None]:
    """Run one process per element of `variables`; return their exit codes, None for one that took too long."""
    children = []
    with contextlib.ExitStack() as files:
        try:
            for index, each in enumerate(variables):
                log = files.enter_context((folder / f"log-{index}").open("w"))
                env = {**os.environ, **each, STARTED: f"{time.time():.6f}"}
                command = [sys.executable, "-m", "bench.gpu.child", what, str(folder / f"result-{index}.json")]
                children.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True))
            return _wait(children, time.monotonic() + timeout)
        finally:
            for child in children:
                _end(child)


def _wait(children: list[subprocess.Popen[bytes]], end: float) -> list[int | None]:
    """Return the exit codes when all have ended, or one of them with an error, because its peers wait for it."""
    while time.monotonic() < end:
        codes = [child.poll() for child in children]
        if any(codes) or None not in codes:
            return [0 if code is None else code for code in codes]
        time.sleep(_POLL)
    return [child.poll() for child in children]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and its own children, which are in its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
            return


def _result(folder: Path, ends: list[int | None]) -> dict[str, Any]:
    """Return what the first process wrote, or what its log shows."""
    if None in ends:
        return {"status": TIMEOUT, "error": _log(folder, ends.index(None))}
    failed = next((index for index, code in enumerate(ends) if code), None)
    if failed is None:
        return {"status": OK, **json.loads((folder / "result-0.json").read_text())}
    written = folder / f"result-{failed}.json"
    error = json.loads(written.read_text())["error"] if written.exists() else ""
    text = f"{error}\n{_log(folder, failed)}"
    if out_of_memory(text):
        return {"status": NO_MEMORY, "error": (error or text)[-_LAST:].strip()}
    return {"status": FAILED, "error": (error or f"exit code {ends[failed]}: {text}")[-_LAST:].strip()}


def _log(folder: Path, index: int) -> str:
    return (folder / f"log-{index}").read_text(errors="replace")[-_LAST:]
