"""Early stopping as the chief (or worker 0) sees it: a poll of the evaluator's decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from trainer.runtime.logs import log
from trainer.storage.run_dir import RunDir

_ASK_EVERY: Final = 2.0


class EarlyStop:
    """Asks now and then whether the evaluator has told the run to end."""

    def __init__(self, run_dir: RunDir, clock: Callable[[], float] = time.monotonic) -> None:
        self._run_dir, self._clock = run_dir, clock
        self._ask_at = 0.0
        self._said = False

    def __call__(self) -> bool:
        """Say whether it has."""
        if not self._said and self._clock() >= self._ask_at:
            self._ask_at = self._clock() + _ASK_EVERY
            if stop := self._run_dir.early_stop():
                self._said = True
                log.info("early stopping: %s", stop.get("reason"))
        return self._said
