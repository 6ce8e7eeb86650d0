"""Starts one side of a comparison as `tfd run` starts any run, and reads when it was at which step."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parent.parent
_MARK = re.compile(r"MARK (\d+) ([\d.]+)")


class BenchError(Exception):
    """A run did not end well; the message holds what it said."""


@dataclass(frozen=True)
class Finished:
    """A run that ended with 0."""

    result: dict[str, Any]
    """What `tfd run --json` printed."""
    run_dir: Path
    log: str
    """Of the task that leads: the chief, or worker 0."""
    status: dict[str, Any]


def run(job: str, folder: Path, disturb: Callable[[Path], None] | None = None) -> Finished:
    """Run the job file `job` in `folder`, let `disturb` (called with the folder of tasks.json) act in the meantime.

    Raises:
        BenchError: it ended with another code than 0.

    """
    shutil.rmtree(folder / "runs", ignore_errors=True)  # `disturb` must not see what the run before has left
    path = folder / "bench.yaml"
    path.write_text(job)
    command = [sys.executable, "-m", "tfd", "run", "--json", "--dir", str(folder / "runs"), str(path)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True)
        if disturb is not None:
            disturb(folder / "runs" / ".tfd" / "bench")
        out, _ = process.communicate()
        if process.returncode != 0:
            said.seek(0)
            raise BenchError(f"exit code {process.returncode}:\n{said.read()[-4000:]}")
    run_dir = folder / "runs" / "bench"
    state = folder / "runs" / ".tfd" / "bench"
    [leader] = [path for name in ("chief-0", "worker-0") if (path := state / f"bench-{name}.log").exists()][:1]
    status = run_dir / "status.json"
    return Finished(
        result=json.loads(out),
        run_dir=run_dir,
        log=leader.read_text(),
        status=json.loads(status.read_text()) if status.exists() else {},
    )


def rate_from_marks(finished: Finished) -> float:
    """Steps per second between the two marks that a hand-written loop printed."""
    (step0, time0), (step1, time1) = [(int(s), float(t)) for s, t in _MARK.findall(finished.log)]
    return (step1 - step0) / (time1 - time0)


def rate_from_summaries(finished: Finished, warm_up: int) -> float:
    """Steps per second of the trainer from step `warm_up` to its last, by the times of its TensorBoard points."""
    events = EventAccumulator(str(finished.run_dir / "logs" / "train"), size_guidance={"tensors": 0})
    events.Reload()
    points = [(int(event.step), float(event.wall_time)) for event in events.Tensors("loss") if event.step >= warm_up]
    (step0, time0), (step1, time1) = points[0], points[-1]
    return (step1 - step0) / (time1 - time0)


def wait_for(condition: Callable[[], Any], what: str, patience: float = 240.0) -> Any:  # noqa: ANN401
    """Wait until `condition` is true and return its value.

    Raises:
        BenchError: it never was.

    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise BenchError(f"{what} never came")
