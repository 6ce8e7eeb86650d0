"""What the workers of a MultiWorkerMirrored run decide together, so that all do the same at the same step."""

from __future__ import annotations

import time
from typing import Final

import tensorflow as tf

from trainer.runtime.errors import LostPeer
from trainer.runtime.types import Strategy
from trainer.storage import checkpoints
from trainer.storage.checkpoints import CheckpointRef

_SHARED_DIRECTORY_SECONDS: Final = 60.0


class Consensus:
    """Lets the workers of a MultiWorkerMirrored run agree on numbers, by one small all-reduce."""

    def __init__(self, strategy: Strategy, workers: int) -> None:
        self._local = strategy.num_replicas_in_sync // max(1, workers)
        self._workers = max(1, workers)

        def total(values: tf.Tensor) -> tf.Tensor:
            per_replica = strategy.run(lambda: tf.identity(values))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)

        self._total = tf.function(total)

    def sum(self, *values: int) -> list[int]:
        """Return the sum over all workers of each of `values`."""
        totals = self._total(tf.constant(values, tf.float64)).numpy()
        return [round(float(each)) // self._local for each in totals]

    def step_decision(self, stop: bool, end: bool, count: int) -> tuple[bool, bool, int]:
        """Stop or end if one worker must; run the mean of what all want to run."""
        stops, ends, counts = self.sum(int(stop), int(end), count)
        return stops > 0, ends > 0, max(1, counts // self._workers)

    def same_checkpoint(self, directory: str, found: CheckpointRef | None, *, decides: bool) -> CheckpointRef | None:
        """Return the checkpoint that the worker which `decides` has found, as soon as this one sees it too.

        On a shared file system the others may see it later, or may still see one that is gone.
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
