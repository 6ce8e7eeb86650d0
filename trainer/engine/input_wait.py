"""The share of the training time in which steps wait for data."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from trainer.runtime.logs import log

MUCH: Final = 0.2
_OVER_SECONDS: Final = 10.0
_ENOUGH_SECONDS: Final = 2.0
_WARN_EVERY: Final = 300.0


class InputWait:
    """Measures the share over about the last ten seconds, and logs a warning if it is high."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._segments: deque[tuple[float, float]] = deque()
        self._warn_at = float("-inf")

    def add(self, waited: float, seconds: float) -> None:
        """Add a segment that took `seconds` and `waited` for data for some of them."""
        if seconds:
            self._segments.append((waited, seconds))

    def share(self) -> float | None:
        """Return the share, 0 to 1; None if less than two seconds were measured."""
        total = sum(seconds for _, seconds in self._segments)
        while self._segments and total - self._segments[0][1] >= _OVER_SECONDS:
            total -= self._segments.popleft()[1]
        if total < _ENOUGH_SECONDS:
            return None
        return min(1.0, max(0.0, sum(waited for waited, _ in self._segments) / total))

    def warn(self) -> None:
        """Log a warning if the share is high, at most once in five minutes."""
        share = self.share()
        if share is None or share <= MUCH or self._clock() < self._warn_at:
            return
        self._warn_at = self._clock() + _WARN_EVERY
        log.info(
            "input-bound: steps waited for data for %.0f %% of the time. In dataset(), call map with "
            "num_parallel_calls=tf.data.AUTOTUNE, end with prefetch, and cache() data that fits into memory. "
            "Store the data in more and larger files, or request more CPUs.",
            100 * share,
        )
