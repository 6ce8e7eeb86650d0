"""The profile of some steps for TensorBoard, taken once in a run."""

from __future__ import annotations

import sys
from typing import Final

import tensorflow as tf

from trainer.runtime.logs import log
from trainer.storage import files

FIRST_STEPS: Final = 10
"""So many steps after the first segment, which traces the graph, the profile begins."""


class Profile:
    """Profiles `steps` steps from the tenth one after the first segment on; between segments only."""

    def __init__(self, directory: str, steps: int) -> None:
        """Take the folder of TensorBoard's events, and how many steps to profile: 0 for none."""
        self._directory = directory
        taken = bool(files.names_in(files.join(directory, "plugins", "profile")))
        self._steps = 0 if taken else steps
        self._begin: int | None = None
        self._end: int | None = None

    def room(self, step: int) -> int:
        """Return how many steps a segment from `step` may have, so that it ends where the profile begins or ends."""
        edge = self._end if self._end is not None else self._begin
        return sys.maxsize if edge is None or edge <= step else edge - step

    def segment(self, step: int) -> None:
        """Begin or end the profile if it is time to: a segment has just ended at `step`."""
        if not self._steps:
            return
        if self._begin is None:
            self._begin = step + FIRST_STEPS
        elif self._end is None and step >= self._begin:
            self._run(lambda: tf.profiler.experimental.start(self._directory))
            self._end = step + self._steps
        elif self._end is not None and step >= self._end:
            self.stop()
            log.info("profiled %d steps up to step %d: see the Profile tab of TensorBoard", self._steps or 0, step)

    def stop(self) -> None:
        """End the profile, complete or not."""
        if self._end is not None and self._steps:
            self._run(tf.profiler.experimental.stop)
            self._steps = 0
            self._begin = self._end = None

    def _run(self, call: object) -> None:
        """Call the profiler; a training must not end because it cannot be profiled."""
        try:
            call()  # type: ignore[operator]
        except (tf.errors.OpError, OSError) as error:
            log.info("no profile: %s", str(error).partition("\n")[0])
            self._steps = 0
            self._begin = self._end = None
