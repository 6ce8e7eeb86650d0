"""Common decisions of the workers of a MultiWorkerMirrored run: all workers act at the same step."""

from __future__ import annotations

import time
import zlib
from typing import Final

import tensorflow as tf

from trainer.runtime.errors import LostPeer
from trainer.runtime.types import Strategy
from trainer.storage import checkpoints
from trainer.storage.checkpoints import CheckpointRef

_SHARED_DIRECTORY_SECONDS: Final = 60.0
_HASHES: Final = 2**20
"""Number of hashes of a text. A float64 holds the sum of their squares over thousands of workers."""


class Consensus:
    """Exchanges numbers between the workers of a MultiWorkerMirrored run with one small all-reduce."""

    def __init__(self, strategy: Strategy, workers: int) -> None:
        self._local = strategy.num_replicas_in_sync // max(1, workers)
        self._workers = max(1, workers)

        def total(values: tf.Tensor) -> tf.Tensor:
            per_replica = strategy.run(lambda: tf.identity(values))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)

        self._total = tf.function(total)

    def sum(self, *values: int) -> list[int]:
        """Return, for each of `values`, the sum over all workers."""
        totals = self._total(tf.constant(values, tf.float64)).numpy()
        return [round(float(each)) // self._local for each in totals]

    def all_equal(self, text: str) -> bool:
        """Return, on all workers, whether all of them call this with the same `text`."""
        number = zlib.crc32(text.encode()) % _HASHES
        total, squares = self.sum(number, number**2)
        return self._workers * squares == total**2

    def step_decision(self, stop: bool, end: bool, change: bool, count: int) -> tuple[bool, bool, bool, int]:
        """Return one decision for all workers.

        Args:
            stop: Whether this worker received SIGTERM.
            end: Whether this worker requests early stopping.
            change: Whether this worker requests another group.
            count: The number of steps that this worker requests for the next segment.

        Returns:
            Whether any worker must stop, whether any worker requests early stopping, whether any one requests
            another group, and the mean of the counts.

        """
        stops, ends, changes, counts = self.sum(int(stop), int(end), int(change), count)
        return stops > 0, ends > 0, changes > 0, max(1, counts // self._workers)

    def same_checkpoint(self, directory: str, found: CheckpointRef | None, *, decides: bool) -> CheckpointRef | None:
        """Return the checkpoint that all workers restore; None if there is none.

        On a shared file system, some workers may see a new checkpoint later, or may still see a deleted one.

        Args:
            directory: The directory of the checkpoints.
            found: The newest checkpoint that this worker found.
            decides: Whether the choice of this worker is used; true for exactly one worker.

        Raises:
            LostPeer: The chosen checkpoint did not appear in `directory` within a minute.

        """
        step = self.sum(found.step + 1 if decides and found else 0)[0] - 1
        if step < 0:
            return None
        until = time.monotonic() + _SHARED_DIRECTORY_SECONDS
        while True:
            for each in checkpoints.all_complete(directory):
                if each.step == step:
                    return each
            if time.monotonic() >= until:
                raise LostPeer(f"worker 0 continues from step {step}, but its checkpoint is not in {directory}")
            time.sleep(0.5)
