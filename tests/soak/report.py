"""The result of a soak: for a person while it runs, and as JSON at its end."""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.soak.changes import Changes
from tests.soak.observer import Observer


def show(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The times without a step after one kind of change, in seconds."""

    kind: str
    times: int
    median: float
    longest: float


@dataclass(slots=True, kw_only=True)
class Result:
    """The result of one round."""

    strategy: str
    seed: int
    steps: int
    minutes: float = 0.0
    step: int | None = None
    accuracy: float | None = None
    reference: float | None = None
    """The accuracy of an undisturbed run with one device."""
    changes: dict[str, int] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)
    groups: int = 0
    """The number of times that a leader has started to train."""
    crashes: int = 0
    """Processes that ended with a segmentation fault, after which the Job starts the task again.

    TensorFlow has one, rarely, when it aborts its collectives at the return of a worker that hung.
    """
    problems: list[str] = field(default_factory=list)

    def json(self) -> dict[str, object]:
        """Return the result as decoded JSON."""
        return asdict(self)


def counts(changes: Changes) -> dict[str, int]:
    """Return kind and role of change -> number of changes."""
    return dict(sorted(Counter(_kind(each.kind, each.task) for each in changes.made).items()))


def pauses(changes: Changes, observer: Observer) -> list[Pause]:
    """Return the longest time without a step after each change and before the next one, by kind and role."""
    found: dict[str, list[float]] = {}
    ends = [each.time for each in changes.made[1:]] + [float("inf")]
    for change, end in zip(changes.made, ends, strict=True):
        found.setdefault(_kind(change.kind, change.task), []).append(observer.pause(change.time, end))
    return [
        Pause(
            kind=kind,
            times=len(seconds),
            median=round(statistics.median(seconds), 1),
            longest=round(max(seconds), 1),
        )
        for kind, seconds in sorted(found.items())
    ]


def _kind(kind: str, task: str) -> str:
    return f"{kind} {task.rpartition('-')[0]}"


def table(results: list[Result]) -> str:
    """Return all pauses as a table of text."""
    head = f"{'strategy':<20} {'change':<18} {'times':>5} {'median':>7} {'longest':>8}  seconds without a step"
    lines = [head]
    by_kind = itertools.chain.from_iterable((((each.strategy, pause)) for pause in each.pauses) for each in results)
    lines += [
        f"{strategy:<20} {pause.kind:<18} {pause.times:>5} {pause.median:>7} {pause.longest:>8}"
        for strategy, pause in by_kind
    ]
    return "\n".join(lines)
