"""The evaluation: digits of small values, the mean over all examples, and the length of held-out data."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import evaluation
from trainer.engine.evaluation import Evaluation
from trainer.runtime import exit_codes
from trainer.runtime.errors import InvalidTask
from trainer.task import DataContext, Task

pytestmark = pytest.mark.slow


class Constant(Task):
    """Each label is a loss; the model does nothing."""

    labels: Any = None

    def model(self) -> Any:
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(0.1)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return labels

    def dataset(self, context: DataContext, split: str) -> Any:
        if isinstance(self.labels, tf.data.Dataset):
            return self.labels
        labels = tf.constant(self.labels)
        return tf.data.Dataset.from_tensor_slices((tf.zeros([len(self.labels), 1]), labels)).batch(context.batch_size)


def evaluated(labels: Any, batch_size: int = 4) -> dict[str, float]:
    task = Constant({})
    task.labels = labels
    return Evaluation(task, batch_size=batch_size, data_dir=None).run()


def test_small_losses_keep_their_digits() -> None:
    assert evaluated([3e-9, 5e-9])["loss"] == pytest.approx(4e-9, rel=1e-6)


def test_loss_is_the_mean_over_all_examples_also_of_a_partial_batch() -> None:
    assert evaluated([1.0, 2.0, 3.0, 4.0, 10.0]) == {"loss": 4.0}


def test_sum_of_many_examples_does_not_lose_the_last_ones() -> None:
    # The sum in float32 would stay at 2^24.
    assert evaluated([2.0**24, 1.0, 1.0, 1.0], batch_size=1)["loss"] == (2**24 + 3) / 4


def test_weights_of_shape_batch_1_count_as_weights_of_shape_batch() -> None:
    labels, weights = tf.constant([1.0, 100.0, 3.0, 100.0]), tf.constant([1.0, 0.0, 1.0, 0.0])
    for each in (weights, weights[:, tf.newaxis]):
        data = tf.data.Dataset.from_tensors((tf.zeros([4, 1]), labels, each))
        assert evaluated(data) == {"loss": 1.0}


def endless() -> Any:
    """Return data without an end, which do not state that."""
    specs = (tf.TensorSpec([4, 1]), tf.TensorSpec([4]))
    return tf.data.Dataset.from_generator(lambda: repeat((np.zeros([4, 1]), np.ones([4]))), output_signature=specs)


def test_data_of_unknown_length_that_never_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_BATCHES", 20)
    with pytest.raises(InvalidTask, match=r"got 20 batches and no end; expected at most 20 batches from a dataset of"):
        evaluated(endless())
    try:
        evaluated(endless())
    except InvalidTask as error:
        assert error.code == exit_codes.FAILED
    assert evaluated(endless().take(20)) == {"loss": 1.0}
    # A dataset that states its length may have more batches.
    stated = endless().take(21).apply(tf.data.experimental.assert_cardinality(21))
    assert evaluated(stated) == {"loss": 1.0}
