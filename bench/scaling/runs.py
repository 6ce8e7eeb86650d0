"""One measured run of the digits task: its seconds per step, its cores and the load of other programs."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.runs import rate_from_summaries, run, wait_for
from tfd import records

_WINDOW: Final = 4.0
"""Seconds over which the CPU time is measured."""
_LEARNING_RATE: Final = 1e-5
"""So small that no batch size and no number of workers lets the loss diverge."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A run to measure. `width` sets the size of the model: 32 has 0.1 million parameters, 256 has 5.4 million."""

    strategy: str
    workers: int
    width: int
    batch: int
    steps: int

    @property
    def key(self) -> str:
        """The name of the run in the report."""
        return f"{self.strategy}-{self.workers}-width{self.width}-batch{self.batch}"

    @property
    def warm_up(self) -> int:
        """Steps that are not measured: a fifth."""
        return self.steps // 5

    def job(self) -> str:
        """Return the text of the job file."""
        roles = "" if self.strategy == "OneDevice" else f"worker: {{replicas: {self.workers}}}\n"
        if self.strategy == "ParameterServer":
            roles += "ps: {replicas: 1}\n"
        return (
            f"strategy: {self.strategy}\n{roles}storage: {{claim: runs}}\n"
            f"trainer: {{task: digits, steps: {self.steps}, batchSize: {self.batch}, checkpointEvery: {self.steps}, "
            f"summaryEvery: {self.warm_up}, "
            f"hyperparameters: {{width: {self.width}, learning_rate: {_LEARNING_RATE}}}}}\n"
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of a run."""

    step_seconds: float
    busy: float
    """Cores that all tasks of the run kept busy."""
    others: float
    """Cores that other programs kept busy. They make the run slower than the machine is."""


def measure(setting: Setting, folder: Path) -> Measured:
    """Run `setting` once in `folder`.

    Raises:
        BenchError: The run failed.

    """
    used: list[tuple[float, float]] = []

    def watch(state: Path) -> None:
        status = state.parent.parent / "bench" / "status.json"
        wait_for(lambda: records.read(status).get("step", 0) >= setting.warm_up, "the end of the warm-up")
        tasks = records.read(state / "tasks.json")["tasks"].values()
        used.append(_cores([int(task["pid"]) for task in tasks]))

    finished = run(setting.job(), folder, disturb=watch)
    [(busy, others)] = used
    return Measured(step_seconds=1 / rate_from_summaries(finished, setting.warm_up), busy=busy, others=others)


def _cores(pids: list[int]) -> tuple[float, float]:
    """Return the cores that the process groups `pids` and all other programs keep busy now."""
    start, mine, everything = time.monotonic(), _seconds_of(pids), _seconds_of_machine()
    time.sleep(_WINDOW)
    wall = time.monotonic() - start
    busy = max(0.0, _seconds_of(pids) - mine) / wall
    return busy, max(0.0, (_seconds_of_machine() - everything) / wall - busy)


def _seconds_of(groups: list[int]) -> float:
    """Return the CPU seconds of the living processes of the process groups."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[2]) in groups:
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _seconds_of_machine() -> float:
    """Return the CPU seconds that all programs of the machine have used."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system) / _TICKS
