"""The built-in task `digits` at a limited pace, so that a test can change a run while it trains."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from trainer.tasks.digits import Digits


class Paced(Digits):
    """Waits `pause` seconds in each step of a worker, until the run directory contains a file `hurry`."""

    defaults = Digits.defaults | {"pause": 0.1}

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the loss after some time. A pause in the data would also delay batches that a restart leaves out."""
        with tf.control_dependencies([_pause(labels, float(self.hp["pause"]))]):
            return tf.identity(super().loss(labels, outputs))


def _pause(labels: Any, seconds: float) -> Any:
    """Return a value after some time. TensorFlow waits, so any worker can."""
    # TensorFlow evaluates a constant pattern once, so the pattern depends on the labels.
    nothing = tf.strings.substr(tf.strings.as_string(tf.reshape(labels, [-1])[0]), 0, 0)
    hurry = tf.size(tf.io.matching_files(tf.strings.join([os.environ["RUN_DIR"], "/hurry", nothing]))) > 0
    # The data set waits before its element and before its end.
    pause = tf.data.Dataset.from_tensors(0).apply(testing.sleep(int(seconds / 2 * 1_000_000)))
    return tf.cond(hurry, lambda: 0, pause.get_single_element)
