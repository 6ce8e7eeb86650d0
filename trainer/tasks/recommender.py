"""Click prediction with embedding tables on synthetic data, an example for ParameterServer.

The clicks are drawn from a known probability model (`_true_logits`). Therefore the best possible AUC is known too:
`reachable_auc`. The task stores no data. It computes each example from its number, with the same result on every
machine. A run with the defaults takes a minute. With `users: 5000000`, the largest table has 340 MB.
"""

from __future__ import annotations

from typing import ClassVar, Final

import keras
import numpy as np
import tensorflow as tf

from trainer import inputs
from trainer.embedding import Embedding
from trainer.task import DataContext, Dataset, Metric, Model, Optimizer, Task, Tensor

_FEATURES: Final = ("user", "item", "city", "hour", "device")
_USER, _ITEM = 0, 1
_EFFECTS: Final = (1.0, 0.8, 0.5, 0.3, 0.3)
"""Standard deviation of each feature's additive term in the true logit."""
_TASTES: Final = 1
"""Length of the hidden vectors of user and item. Their product is the remaining term of the true logit."""
_TASTE_EFFECT: Final = 0.5
_MEAN_LOGIT: Final = -1.0
_SKEW: Final = 4.0
"""Ids are `rows * uniform ** _SKEW`: a few ids are frequent, most are rare."""
_EVAL_STREAM: Final = -1


def _hash(numbers: Tensor, salt: int) -> Tensor:
    """Return a hash (0 to 2**32 - 1, int64) of each of `numbers` (int64), the same on every machine.

    Another `salt` gives independent hashes.
    """
    mask = 0xFFFFFFFF
    mixed = (numbers + 0x9E3779B9 * (salt + 1)) & mask
    for factor in (0x45D9F3B, 0x2C1B3C6D, 0x297A2D39):
        mixed = (mixed ^ mixed // 0x10000) * factor & mask
    return mixed ^ mixed // 0x10000


def _effect(ids: Tensor, salt: int) -> Tensor:
    """Return a fixed number for each id, with mean 0 and standard deviation 1 over all ids."""
    return (tf.cast(_hash(ids, salt), tf.float32) / 2.0**31 - 1.0) * 3.0**0.5


def _true_logits(ids: Tensor) -> Tensor:
    """Return the logit of the click probability, `[batch]`, for ids `[batch, features]`."""
    logits = _MEAN_LOGIT + sum(scale * _effect(ids[:, f], f) for f, scale in enumerate(_EFFECTS))
    for taste in range(_TASTES):
        product = _effect(ids[:, _USER], 100 + taste) * _effect(ids[:, _ITEM], 200 + taste)
        logits += _TASTE_EFFECT * product / _TASTES**0.5
    return logits


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve.

    This is the probability that a random clicked example has a higher score than a random other example.

    Args:
        labels: 1 for clicked examples, 0 for others, `[examples]`.
        scores: The predictions, `[examples]`.

    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # Equal scores have their mean rank.
    clicked = int(np.sum(labels == 1))
    others = len(labels) - clicked
    return float((np.sum(ranks[labels == 1]) - clicked * (clicked + 1) / 2) / (clicked * others))


class Recommender(Task):
    """Predicts clicks by the sum of three parts.

    The wide part is a weight per id. The pair part is the product of the vectors of user and item. The deep part is a
    network over all vectors.
    """

    defaults: ClassVar = {
        "learning_rate": 1e-3,
        "table_learning_rate": 0.1,
        "width": 16,
        "users": 12_000,
        "items": 2_000,
        "eval_examples": 32_768,
    }

    def _rows(self) -> tuple[int, ...]:
        return int(self.hp["users"]), int(self.hp["items"]), 200, 24, 4

    def model(self) -> Model:
        """Return ids `[batch, 5]` int64 -> logits `[batch]`.

        The first column of each table is the weight of the wide part. The other columns are the vector.
        """
        ids = keras.Input((len(_FEATURES),), dtype="int64", name="ids")
        rate, width = float(self.hp["table_learning_rate"]), int(self.hp["width"])
        columns = []
        for number, (feature, rows) in enumerate(zip(_FEATURES, self._rows(), strict=True)):
            table = Embedding(rows, 1 + width, learning_rate=rate, name=feature)
            columns.append(table(ids[:, number]))
        wide = keras.layers.Add(name="wide")([each[:, :1] for each in columns])
        vectors = [each[:, 1:] for each in columns]
        pair = keras.layers.Dot(axes=1, name="pair")([vectors[_USER], vectors[_ITEM]])
        deep = keras.layers.Concatenate()(vectors)
        for units in (64, 32):
            deep = keras.layers.Dense(units, activation="relu")(deep)
        deep = keras.layers.Dense(1, name="deep")(deep)
        logits = keras.layers.Add(dtype="float32")([wide, pair, deep])
        return keras.Model(ids, keras.layers.Flatten(dtype="float32", name="logits")(logits)[:, 0], name="recommender")

    def optimizer(self) -> Optimizer:
        """Return Adam, for all variables except the tables."""
        return keras.optimizers.Adam(float(self.hp["learning_rate"]))

    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the cross entropy of each example, `[batch]`."""
        return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, outputs.dtype), outputs)

    def dataset(self, context: DataContext, split: str) -> Dataset:
        """Return batches of `(ids [batch, 5] int64, clicked [batch] int64)`."""
        if split == "train":
            first = inputs.first_seed(context)
            batches = inputs.batch_numbers(context).map(
                lambda number: self._batch(first, number, context.batch_size)[:2]
            )
            return batches.prefetch(8)
        return self._held_out(context.batch_size).map(lambda ids, clicked, _: (ids, clicked)).prefetch(2)

    def metrics(self) -> list[Metric]:
        """Return the metric `auc`, which is comparable with `reachable_auc`."""
        return [keras.metrics.AUC(num_thresholds=1000, from_logits=True, name="auc")]

    def reachable_auc(self) -> float:
        """Return the AUC of the true probabilities on the evaluation examples.

        A model can exceed it only by chance.
        """
        batches = [(clicked.numpy(), logits.numpy()) for _, clicked, logits in self._held_out(4096)]
        labels, scores = (np.concatenate(each) for each in zip(*batches, strict=True))
        return auc(labels, scores)

    def _held_out(self, batch_size: int) -> Dataset:
        """Return the evaluation batches `(ids, clicked, true logits)`. The examples do not depend on the batch size."""
        examples, chunk = int(self.hp["eval_examples"]), 1024
        chunks = tf.data.Dataset.range(-(-examples // chunk))
        made = chunks.map(lambda number: self._batch(tf.constant(_EVAL_STREAM, tf.int64), number, chunk))
        return made.unbatch().take(examples).batch(batch_size)

    def _batch(self, stream: Tensor, number: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids, clicks and true logits of the `number`-th batch of the random `stream`."""
        uniform = tf.random.stateless_uniform([size, len(_FEATURES) + 1], tf.stack([stream, number]))
        rows = tf.constant(self._rows(), tf.float32)
        ids = tf.cast(tf.math.floor(uniform[:, :-1] ** _SKEW * rows), tf.int64)
        logits = _true_logits(ids)
        return ids, tf.cast(uniform[:, -1] < tf.sigmoid(logits), tf.int64), logits
