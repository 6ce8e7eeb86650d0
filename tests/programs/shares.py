"""A task whose steps have the same 64 examples for any number of workers, so that the weights can be compared."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from trainer.task import DataContext, Dataset, Model, Optimizer, Task, Tensor

BATCH = 64


class Shares(Task):
    """A small regression with SGD."""

    def model(self) -> Model:
        """Return two dense layers."""
        hidden = keras.layers.Dense(16, activation="tanh")
        inputs = keras.Input([8])
        return keras.Model(inputs, keras.layers.Dense(1)(hidden(inputs)))

    def optimizer(self) -> Optimizer:
        """Return SGD with momentum."""
        return keras.optimizers.SGD(0.05, momentum=0.9)

    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the squared error of each example."""
        return tf.reduce_mean(tf.square(labels - outputs), axis=-1)

    def dataset(self, context: DataContext, split: str) -> Dataset | None:
        """Return the part of each batch that belongs to this worker."""
        if split != "train":
            return None
        random = np.random.default_rng(7)
        features = random.normal(size=(10, BATCH, 8)).astype(np.float32)
        labels = np.sin(features.sum(axis=-1, keepdims=True)).astype(np.float32)
        share, rest = divmod(BATCH, context.pipelines)
        first = context.pipeline * share + min(context.pipeline, rest)
        own = slice(first, first + context.batch_size)
        return tf.data.Dataset.from_tensor_slices((features[:, own], labels[:, own])).repeat()
