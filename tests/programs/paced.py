"""The built-in task `digits` at a limited pace, so that a test can change a run while it trains."""

from __future__ import annotations

import time

import tensorflow as tf

from trainer.task import Tensor
from trainer.tasks.digits import Digits

_SECONDS = 0.05


class Paced(Digits):
    """Takes at most 20 steps per second."""

    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the loss of `digits` after some time."""
        return super().loss(tf.ensure_shape(tf.numpy_function(_late, [labels], labels.dtype), labels.shape), outputs)


def _late(labels: Tensor) -> Tensor:
    time.sleep(_SECONDS)
    return labels
