"""Tasks of bug reports whose numbers were wrong."""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from trainer.task import DataContext, Task


class Line(Task):
    """A linear regression."""

    def model(self) -> Any:
        """Return a layer."""
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])

    def optimizer(self) -> Any:
        """Return plain gradient descent."""
        return keras.optimizers.SGD(0.1)

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the squares."""
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context: DataContext, split: str) -> Any:
        """Return the same batches in each pipeline."""
        x = np.random.RandomState(0).rand(60, 2).astype("float32")
        data = tf.data.Dataset.from_tensor_slices((x, 3 * x.sum(1)))
        return data.repeat().batch(context.batch_size, drop_remainder=True)


class Clipped(Line):
    """tensorflow#33929: each replica clipped its own share."""

    def optimizer(self) -> Any:
        """Return an optimizer that clips."""
        return keras.optimizers.SGD(0.1, global_clipnorm=0.1)


class Averaged(Line):
    """keras#18949: the averages were not used outside of fit()."""

    def optimizer(self) -> Any:
        """Return an optimizer that averages."""
        return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)


class Accumulating(Line):
    """keras#20582: the decision to update was taken in each replica."""

    def optimizer(self) -> Any:
        """Return an optimizer that accumulates."""
        return keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)


class Overwriting(Line):
    """keras#20582: the decision to overwrite was taken in each replica."""

    def optimizer(self) -> Any:
        """Return an optimizer that overwrites."""
        return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5)


class Apart(Line):
    """tensorflow/models#100: worker 0 reads numbers of about 0, and worker 1 numbers of about 10."""

    def model(self) -> Any:
        """Return a model with batch normalization."""
        norm = keras.layers.BatchNormalization(momentum=0.5)
        return keras.Sequential([keras.Input((1,)), norm, keras.layers.Dense(1)])

    def dataset(self, context: DataContext, split: str) -> Any:
        """Return what the pipeline reads."""
        x = np.arange(64)[:, None] % 2 + 10.0 * context.pipeline
        data = tf.data.Dataset.from_tensor_slices((x.astype("float32"), np.zeros(64, "float32")))
        return data.repeat().batch(context.batch_size, drop_remainder=True)


class Overflowing(Line):
    """tensorflow#46863: a batch of one replica overflows in float16, and the replicas disagreed."""

    def model(self) -> Any:
        """Return a model of two layers."""
        layers = [keras.layers.Dense(4), keras.layers.Dense(1, dtype="float32")]
        return keras.Sequential([keras.Input((3,)), *layers])

    def dataset(self, context: DataContext, split: str) -> Any:
        """Return ones, and in step 20 a huge batch of the last replica."""

        def batch(number: Any) -> Any:
            huge = tf.logical_and(tf.equal(number, 20 if context.pipelines > 1 else 41), last)
            x = tf.ones([context.batch_size, 3]) * tf.where(huge, 3e4, 1.0)
            return x, tf.fill([context.batch_size], 3.0)

        last = context.pipeline == context.pipelines - 1
        return tf.data.Dataset.counter().map(batch)


TASKS: Final = {each.__name__: each for each in (Clipped, Averaged, Accumulating, Overwriting, Apart, Overflowing)}
