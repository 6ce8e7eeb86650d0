"""The built-in task `digits` at a limited pace, so that a test can change a run while it trains."""

from __future__ import annotations

import os

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from trainer.task import DataContext, Dataset
from trainer.tasks.digits import Digits

_MICROSECONDS = 50_000


class Paced(Digits):
    """Takes at most 20 steps per second and worker, until the run directory contains a file `hurry`."""

    def dataset(self, context: DataContext, split: str) -> Dataset:
        """Return the data of `digits`, each batch after some time. TensorFlow waits, so any worker can."""
        batches = super().dataset(context, split)
        if split != "train":
            return batches
        file = f"{os.environ['RUN_DIR']}/hurry"
        hurry = tf.data.Dataset.counter().map(lambda _: tf.cast(tf.size(tf.io.matching_files(file)) > 0, tf.int64))
        return tf.data.Dataset.choose_from_datasets([batches.apply(testing.sleep(_MICROSECONDS)), batches], hurry)
