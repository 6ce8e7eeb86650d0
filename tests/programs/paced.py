"""The built-in task `digits` at a limited pace, so that a test can change a run while it trains."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from trainer.tasks.digits import Digits

_MICROSECONDS = 50_000


class Paced(Digits):
    """Takes at most 20 steps per second and worker, until the run directory contains a file `hurry`."""

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the loss after some time. A pause in the data would also delay batches that a restart leaves out."""
        with tf.control_dependencies([_pause()]):
            return tf.identity(super().loss(labels, outputs))


def _pause() -> Any:
    """Return a value after some time. TensorFlow waits, so any worker can."""
    hurry = tf.size(tf.io.matching_files(f"{os.environ['RUN_DIR']}/hurry")) > 0
    pause = tf.data.Dataset.from_tensors(0).apply(testing.sleep(_MICROSECONDS))
    return tf.cond(hurry, lambda: 0, pause.get_single_element)
