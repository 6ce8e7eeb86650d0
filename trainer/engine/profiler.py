"""A profile of some steps for TensorBoard, taken once per run."""

from __future__ import annotations

import sys
from typing import Final

import tensorflow as tf

from trainer.runtime.logs import log
from trainer.storage import files

FIRST_STEPS: Final = 10
"""The number of steps between the end of the first segment, which traces the graph, and the start of the profile."""


class Profile:
    """Profiles `steps` steps, starting ten steps after the first segment."""

    def __init__(self, directory: str, steps: int) -> None:
        """Prepare the profile; do nothing if the run already has one.

        Args:
            directory: The directory of TensorBoard's event files.
            steps: The number of steps to profile; 0 for no profile.

        """
        self._directory = directory
        taken = bool(files.names_in(files.join(directory, "plugins", "profile")))
        self._steps = 0 if taken else steps
        self._begin: int | None = None
        self._end: int | None = None

    def room(self, step: int) -> int:
        """Return the maximum number of steps of a segment from `step`, up to the start or end of the profile."""
        edge = self._end if self._end is not None else self._begin
        return sys.maxsize if edge is None or edge <= step else edge - step

    def segment(self, step: int) -> None:
        """Start or stop the profile if that is due after the segment that ended at `step`."""
        if not self._steps:
            return
        if self._begin is None:
            self._begin = step + FIRST_STEPS
        elif self._end is None and step >= self._begin:
            self._run(lambda: tf.profiler.experimental.start(self._directory))
            self._end = step + self._steps
        elif self._end is not None and step >= self._end:
            self.stop()
            log.info("profiled %d steps up to step %d: open the Profile tab of TensorBoard", self._steps or 0, step)

    def stop(self) -> None:
        """Stop the profile, even if it is incomplete."""
        if self._end is not None and self._steps:
            self._run(tf.profiler.experimental.stop)
            self._steps = 0
            self._begin = self._end = None

    def _run(self, call: object) -> None:
        """Call the profiler; log its errors, so that they do not end the training."""
        try:
            call()  # type: ignore[operator]
        except (tf.errors.OpError, OSError) as error:
            log.info("cannot profile: %s", str(error).partition("\n")[0])
            self._steps = 0
            self._begin = self._end = None
