"""Shared parts of the fault tests: job files, paused processes, texts in logs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.local_run import LocalRun, gone

JOB = """
strategy: {strategy}
trainer: {{task: digits, steps: {steps}, checkpointEvery: {every}, summaryEvery: 25{trainer}}}
storage: {{claim: runs}}
"""


def job(strategy: str, steps: int, every: int = 50, trainer: str = "", **blocks: str) -> str:
    """A job file: `trainer` adds keys to the trainer block, `blocks` adds other keys."""
    text = JOB.format(strategy=strategy, steps=steps, every=every, trainer=f", {trainer}" if trainer else "")
    return text + "".join(f"{name}: {value}\n" for name, value in blocks.items())


def starts(run: LocalRun, task: str) -> list[int]:
    """The steps at which `task` started or resumed training."""
    return [int(step) for step in re.findall(r"training from step (\d+) to", run.log(task))]


def log_shows(run: LocalRun, task: str, text: str, times: int = 1) -> float:
    """Wait until the log of `task` contains `text` `times` times; return the time (monotonic)."""
    run.wait_for(lambda: run.log(task).count(text) >= times, f"{text!r} in the log of {task}")
    return time.monotonic()


def resumes_training(run: LocalRun, leader: str, begun: int) -> float:
    """Wait until `leader` has started training more than `begun` times; return the time (monotonic)."""
    run.wait_for(lambda: len(starts(run, leader)) > begun, f"another start of {leader}'s training")
    return time.monotonic()


def step_after(run: LocalRun, step: int) -> float:
    """Wait until the run is past `step`; return the time (monotonic)."""
    run.wait_for(lambda: run.status().get("step", 0) > step, f"a step after {step}")
    return time.monotonic()


def trains(run: LocalRun, *, saved: int = 0) -> None:
    """Wait until the run trains and has a checkpoint after step `saved`."""
    run.wait_for(
        lambda: run.saved_step() > saved and run.status().get("state") == "running", f"a checkpoint after step {saved}"
    )


@contextmanager
def hanging(run: LocalRun, task: str) -> Iterator[int]:
    """Stop the process of `task` as a hanging node would. The process continues afterward if it still exists."""
    pid = run.pid(task)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        if not gone(pid):
            os.kill(pid, signal.SIGCONT)


def ends_well(run: LocalRun, steps: int, *, overshoot: int = 0) -> None:
    """The run ends with 0 at the exact step (or up to `overshoot` steps later) and has a low loss."""
    code, out, err = run.finish()
    assert code == 0, f"{out}\n{err}\n{run.all_logs()}"
    assert steps <= run.done()["step"] <= steps + overshoot
    assert run.done()["metrics"]["accuracy"] >= 0.9


@dataclass
class MountedRun(LocalRun):
    """A run whose directory is a small tmpfs that only its processes can read, through /proc/PID/root."""

    options: str = "size=8m"
    where: str = "runs/little"

    def start(self, *options: str) -> subprocess.Popen[str]:
        mount = f"mkdir -p {self.where} && mount -t tmpfs -o {self.options} tmpfs {self.where}"
        command = f'{mount} && exec "{sys.executable}" -m tfd run team/{self.name}.yaml {" ".join(options)}'
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", command],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.folder = Path(f"/proc/{self.process.pid}/root{self.folder}")
        return self.process
