"""Will this user click on this item? Embedding tables, which parameter servers are for, on synthetic data.

The clicks are drawn from a known model (`_true_logits`), so it is known how well any model can do: `reachable_auc`.
Nothing is stored: each example is computed from its number, the same on every machine. The defaults are a run of a
minute; `users: 5000000` makes a table of 340 MB.
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
"""Standard deviation of each feature's own part of the true logit."""
_TASTES: Final = 1
"""Length of the hidden vectors of user and item whose product is the rest of it."""
_TASTE_EFFECT: Final = 0.5
_MEAN_LOGIT: Final = -1.0
_SKEW: Final = 4.0
"""Ids are `rows * uniform ** _SKEW`: a few are seen often, most of them rarely."""
_EVAL_STREAM: Final = -1


def _hash(numbers: Tensor, salt: int) -> Tensor:
    """Return well mixed 32-bit numbers (int64) for `numbers`, the same on every machine and for any size of table."""
    mask = 0xFFFFFFFF
    mixed = (numbers + 0x9E3779B9 * (salt + 1)) & mask
    for factor in (0x45D9F3B, 0x2C1B3C6D, 0x297A2D39):
        mixed = (mixed ^ mixed // 0x10000) * factor & mask
    return mixed ^ mixed // 0x10000


def _effect(ids: Tensor, salt: int) -> Tensor:
    """Return a fixed number per id, with mean 0 and standard deviation 1."""
    return (tf.cast(_hash(ids, salt), tf.float32) / 2.0**31 - 1.0) * 3.0**0.5


def _true_logits(ids: Tensor) -> Tensor:
    """Return the logit of the click probability, `[batch]`, for ids `[batch, features]`."""
    logits = _MEAN_LOGIT + sum(scale * _effect(ids[:, f], f) for f, scale in enumerate(_EFFECTS))
    for taste in range(_TASTES):
        product = _effect(ids[:, _USER], 100 + taste) * _effect(ids[:, _ITEM], 200 + taste)
        logits += _TASTE_EFFECT * product / _TASTES**0.5
    return logits


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a clicked example has a higher score than another one."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # the mean rank of equal scores
    clicked = int(np.sum(labels == 1))
    others = len(labels) - clicked
    return float((np.sum(ranks[labels == 1]) - clicked * (clicked + 1) / 2) / (clicked * others))


class Recommender(Task):
    """Predicts clicks: wide (a weight per id), products of pairs, and deep (a network over all vectors)."""

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

        A table's first column is the wide part's weight, the others are the vector.
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
        """Return Adam, for all but the tables."""
        return keras.optimizers.Adam(float(self.hp["learning_rate"]))

    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the cross entropy of each example, `[batch]`."""
        return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, outputs.dtype), outputs)

    def dataset(self, context: DataContext, split: str) -> Dataset:
        """Return batches of `(ids [batch, 5] int64, clicked [batch] int64)`."""
        if split == "train":
            first = inputs.first_seed(context)
            numbers = tf.data.Dataset.counter(context.pipeline, context.pipelines)
            batches = numbers.map(lambda number: self._batch(first, number, context.batch_size)[:2])
            return batches.prefetch(8)
        return self._held_out(context.batch_size).map(lambda ids, clicked, _: (ids, clicked)).prefetch(2)

    def metrics(self) -> list[Metric]:
        """Return the area under the ROC curve, to be compared with `reachable_auc`."""
        return [keras.metrics.AUC(num_thresholds=1000, from_logits=True, name="auc")]

    def reachable_auc(self) -> float:
        """Return the AUC of the true probabilities on the held-out examples: no model can do better but by luck."""
        batches = [(clicked.numpy(), logits.numpy()) for _, clicked, logits in self._held_out(4096)]
        labels, scores = (np.concatenate(each) for each in zip(*batches, strict=True))
        return auc(labels, scores)

    def _held_out(self, batch_size: int) -> Dataset:
        """Return the held-out `(ids, clicked, true logits)`; the examples don't depend on the size of the batches."""
        examples, chunk = int(self.hp["eval_examples"]), 1024
        chunks = tf.data.Dataset.range(-(-examples // chunk))
        made = chunks.map(lambda number: self._batch(tf.constant(_EVAL_STREAM, tf.int64), number, chunk))
        return made.unbatch().take(examples).batch(batch_size)

    def _batch(self, stream: Tensor, number: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the `number`-th batch of a stream of examples: ids, clicked, true logits."""
        uniform = tf.random.stateless_uniform([size, len(_FEATURES) + 1], tf.stack([stream, number]))
        rows = tf.constant(self._rows(), tf.float32)
        ids = tf.cast(tf.math.floor(uniform[:, :-1] ** _SKEW * rows), tf.int64)
        logits = _true_logits(ids)
        return ids, tf.cast(uniform[:, -1] < tf.sigmoid(logits), tf.int64), logits
