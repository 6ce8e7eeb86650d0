"""The built-in task `digits` at a limited pace, so that a test can change a run while it trains."""

from __future__ import annotations

from tensorflow.python.data.experimental.ops import testing

from trainer.task import DataContext, Dataset
from trainer.tasks.digits import Digits

_MICROSECONDS = 50_000


class Paced(Digits):
    """Takes at most 20 steps per second and worker."""

    def dataset(self, context: DataContext, split: str) -> Dataset:
        """Return the data of `digits`, each batch after some time. TensorFlow waits, so any worker can."""
        batches = super().dataset(context, split)
        return batches.apply(testing.sleep(_MICROSECONDS)) if split == "train" else batches
