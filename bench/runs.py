"""Run one side of a comparison with `tfd run`, and read the rate from its output."""

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
    """A run failed; the message contains its output."""


@dataclass(frozen=True)
class Finished:
    """A run that ended with exit code 0."""

    result: dict[str, Any]
    """The output of `tfd run --json`."""
    run_dir: Path
    log: str
    """The log of the chief, or of worker 0 if there is no chief."""
    status: dict[str, Any]


def run(job: str, folder: Path, disturb: Callable[[Path], None] | None = None) -> Finished:
    """Run a job file and wait for its end.

    Args:
        job: The text of the job file.
        folder: The working directory; its subdirectory runs/ is deleted first.
        disturb: Called during the run with the directory that contains tasks.json.

    Raises:
        BenchError: The run ended with an exit code other than 0.

    """
    shutil.rmtree(folder / "runs", ignore_errors=True)  # `disturb` must not read files of the previous run
    path = folder / "bench.yaml"
    path.write_text(job)
    command = [sys.executable, "-m", "tfd", "run", "--json", "--dir", str(folder / "runs"), str(path)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        if disturb is not None:
            disturb(folder / "runs" / ".tfd" / "bench")
        out, _ = process.communicate()
        if process.returncode != 0:
            errors.seek(0)
            raise BenchError(f"exit code {process.returncode}:\n{errors.read()[-4000:]}")
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
    """Return the steps per second between the two marks that a script printed."""
    (step0, time0), (step1, time1) = [(int(s), float(t)) for s, t in _MARK.findall(finished.log)]
    return (step1 - step0) / (time1 - time0)


def rate_from_summaries(finished: Finished, warm_up: int) -> float:
    """Return the steps per second from step `warm_up` to the last step, from the times of the TensorBoard points."""
    events = EventAccumulator(str(finished.run_dir / "logs" / "train"), size_guidance={"tensors": 0})
    events.Reload()
    points = [(int(event.step), float(event.wall_time)) for event in events.Tensors("loss") if event.step >= warm_up]
    (step0, time0), (step1, time1) = points[0], points[-1]
    return (step1 - step0) / (time1 - time0)


def wait_for(condition: Callable[[], Any], what: str, patience: float = 240.0) -> Any:  # noqa: ANN401
    """Wait until `condition` returns a true value, and return that value.

    Args:
        condition: Called about 20 times per second.
        what: A noun phrase for the error message.
        patience: The timeout in seconds.

    Raises:
        BenchError: The timeout has passed.

    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise BenchError(f"{what} did not appear within {patience:.0f} s")
