"""Early stopping on the chief or on worker 0: poll the evaluator's decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from trainer.runtime.errors import is_storage_failure, summary
from trainer.runtime.logs import log
from trainer.storage.run_dir import RunDir

_POLL_EVERY: Final = 2.0


class EarlyStop:
    """Reads every two seconds whether the evaluator has requested early stopping."""

    def __init__(self, run_dir: RunDir, clock: Callable[[], float] = time.monotonic) -> None:
        self._run_dir, self._clock = run_dir, clock
        self._poll_at = 0.0
        self._requested = False

    def __call__(self) -> bool:
        """Return whether the evaluator has requested early stopping."""
        if not self._requested and self._clock() >= self._poll_at:
            self._poll_at = self._clock() + _POLL_EVERY
            if stop := self._read():
                self._requested = True
                log.info("early stopping: %s", stop.get("reason"))
        return self._requested

    def _read(self) -> dict[str, Any] | None:
        try:
            return self._run_dir.early_stop()
        except Exception as error:
            if not is_storage_failure(error):
                raise
            log.info("cannot read whether to stop early: %s", summary(error))
            return None
