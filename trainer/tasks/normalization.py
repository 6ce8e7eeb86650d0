"""Batch normalization in one operation of TensorFlow, for convolutional networks.

The layer of Keras 3 consists of several operations, in float32 even in mixed precision. Without XLA, each of them reads
and writes all activations, which limits the training on a GPU. TensorFlow has one operation for all of them.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from trainer.task import Model, Tensor

_IMAGES = 4
"""The rank of a batch of images."""


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """The layer of Keras with the same weights and results. It is faster for batches of images in the training."""

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the normalized `inputs`, and update the moving statistics in the training."""
        fused = inputs.shape.rank == _IMAGES and self.axis in (-1, _IMAGES - 1) and mask is None
        if not (training and self.trainable and fused) or self.synchronized or self.renorm:
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        gamma = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels])
        beta = tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels])
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            tf.cast(inputs, self.compute_dtype), gamma, beta, epsilon=self.epsilon, is_training=True
        )
        # The operation divides by one less than the number of values, and the layer of Keras by that number.
        count = tf.cast(tf.size(inputs) // channels, variance.dtype)
        variance *= tf.maximum(count - 1, 1) / count
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + tf.cast(new, moving.dtype) * (1 - self.momentum))
        return outputs


def fused(model: Model) -> Model:
    """Return a copy of `model` with new weights, in which each batch normalization is a fused one."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedBatchNormalization if type(layer) is keras.layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=copy)
