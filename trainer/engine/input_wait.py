"""How much of the training's time goes by waiting for data: into status.json, and a log line when it is much."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from trainer.engine.loop import Reports
from trainer.runtime.logs import log
from trainer.storage.status import Status

MUCH: Final = 0.2
_OVER_SECONDS: Final = 10.0
_ENOUGH_SECONDS: Final = 2.0
_SAY_EVERY: Final = 300.0


class Waits(Protocol):
    """Knows how long its steps have waited (`trainer.engine.steps`)."""

    def waited(self) -> tuple[float, float]:
        """Return the seconds waited for data and the seconds of all in the last segment; the first one counts 0."""


class InputWait:
    """Stands between the loop and its reports, and notes the share of the last ten seconds or so."""

    def __init__(
        self, reports: Reports, runner: Waits, status: Status | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reports, self._step_runner, self._status, self._clock = reports, runner, status, clock
        self._segments: deque[tuple[float, float]] = deque()
        self._say_at = float("-inf")

    def begin(self, step: int) -> None:
        """Say where the training starts."""
        self._reports.begin(step)

    def room(self, step: int) -> int:
        """Return how many steps a segment from `step` may have at most."""
        return self._reports.room(step)

    def segment(self, before: int, step: int, loss: float | None) -> None:
        """Report one segment."""
        share = self._share()
        if share is not None and self._status:
            self._status.note(inputWaitShare=round(share, 3))
        self._reports.segment(before, step, loss)
        if share is not None and share > MUCH and self._clock() >= self._say_at:
            self._say_at = self._clock() + _SAY_EVERY
            log.info(
                "input-bound: %.0f %% of the time was spent waiting for data: let dataset() map with "
                "num_parallel_calls=tf.data.AUTOTUNE and end in prefetch, cache() what fits into memory, "
                "store more and larger files, or give the task more CPU",
                100 * share,
            )

    def _share(self) -> float | None:
        waited, seconds = self._step_runner.waited()
        if seconds:
            self._segments.append((waited, seconds))
        total = sum(each for _, each in self._segments)
        while total - self._segments[0][1] >= _OVER_SECONDS if self._segments else False:
            total -= self._segments.popleft()[1]
        if total < _ENOUGH_SECONDS:
            return None
        return min(1.0, max(0.0, sum(each for each, _ in self._segments) / total))
