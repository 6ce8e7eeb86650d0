"""Random changes of the tasks of a run, in an order and at times that a seed decides."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.soak.tasks import Tasks

KINDS = ("join", "join", "kill", "drain", "hang", "partition")
"""A join as often as two other kinds, because a kill leaves a worker absent."""
PAUSES = {"MultiWorkerMirrored": (5.0, 60.0), "ParameterServer": (3.0, 25.0)}
"""Seconds between two changes."""
AWAY = (5.0, 40.0)
"""Seconds of a hang or of a partition."""
REPLACED_AFTER = (1.0, 10.0)
"""Seconds until a killed chief or ps starts again."""
_OTHER_ROLES = 0.15
"""Share of the changes that hit the chief or a ps."""
_EVERYONE = 0.1
"""Share of the changes that may hit the last undisturbed worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the run."""

    time: float
    kind: str
    task: str

    def __str__(self) -> str:
        return f"{self.kind} {self.task}"


class Changes:
    """Changes the tasks of a run."""

    def __init__(self, tasks: Tasks, seed: int) -> None:
        self._tasks, self._random = tasks, random.Random(seed)
        self.made: list[Change] = []
        self._away: dict[str, tuple[float, Callable[[], None]]] = {}
        """Task -> the end of its hang, partition or absence, and what ends it."""
        self._cut: set[str] = set()

    def pause(self) -> float:
        """Return the seconds until the next change."""
        return self._random.uniform(*PAUSES[self._tasks.strategy])

    def change(self) -> Change | None:
        """Make one random change; return None if the tasks allow none of the chosen kind."""
        kind = self._random.choice(KINDS)
        candidates = self._absent() if kind == "join" else self._victims()
        if not candidates:
            return None
        task = self._random.choice(candidates)
        self._make(kind, task)
        made = Change(time=time.time(), kind=kind, task=task)
        self.made.append(made)
        return made

    def _absent(self) -> list[str]:
        return [task for task in self._tasks.workers if task not in self._tasks.live]

    def _victims(self) -> list[str]:
        free = [task for task in self._tasks.live if task not in self._away]
        others = [task for task in free if task not in self._tasks.workers]
        if others and self._random.random() < _OTHER_ROLES:
            return others
        workers = [task for task in free if task in self._tasks.workers]
        return workers if len(workers) > 1 or self._random.random() < _EVERYONE else []

    def _make(self, kind: str, task: str) -> None:
        tasks = self._tasks
        if kind == "join":
            tasks.start(task)
        elif kind == "kill":
            tasks.kill(task)
            if task not in tasks.workers:
                self._until(task, REPLACED_AFTER, lambda: tasks.start(task))
        elif kind == "drain":
            tasks.signal(task, signal.SIGTERM)
        elif kind == "hang":
            tasks.signal(task, signal.SIGSTOP)
            self._until(task, AWAY, lambda: tasks.resume(task))
        else:
            self._cut.add(task)
            self._split()
            self._until(task, AWAY, lambda: self._heal(task))

    def _until(self, task: str, seconds: tuple[float, float], end: Callable[[], None]) -> None:
        self._away[task] = (time.monotonic() + self._random.uniform(*seconds), end)

    def _heal(self, task: str) -> None:
        self._cut.discard(task)
        self._split()

    def _split(self) -> None:
        """Cut each task of `_cut` off from all others."""
        rest = [name for name in self._tasks.names if name not in self._cut]
        self._tasks.network.split(rest, *([task] for task in sorted(self._cut)))

    def end_due(self, *, all_of_them: bool = False) -> None:
        """End the hangs, partitions and absences whose time is over."""
        for task, (until, end) in list(self._away.items()):
            if all_of_them or time.monotonic() >= until:
                del self._away[task]
                end()

    def start_absent(self) -> None:
        """Start the workers that are absent."""
        self._tasks.start(*self._absent())
