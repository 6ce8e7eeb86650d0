"""Fused batch normalization has the weights, the results and the gradients of the layer of Keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.task import load
from trainer.tasks.normalization import FusedBatchNormalization, fused

TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 0.05, "mixed_float16": 0.01}


@pytest.fixture(params=TOLERANCE)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def train(layer: Any, images: Any) -> list[Any]:
    """Return what one training step gives: outputs, gradients, moving statistics."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        # Other weights for each value, because the sum of normalized values is constant.
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * tf.reshape(tf.range(96.0), [2, 4, 4, 3]) / 96)
    gradients = tape.gradient(loss, [images, *[each.value for each in layer.trainable_variables]])
    moving = [layer.moving_mean, layer.moving_variance]
    return [np.asarray(tf.cast(tf.convert_to_tensor(each), tf.float32)) for each in (outputs, *gradients, *moving)]


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5, "epsilon": 0.01}])
def test_a_step_is_that_of_the_layer_of_keras(precision: str, options: dict[str, Any]) -> None:
    images = np.random.default_rng(1).normal(3, 2, (2, 4, 4, 3)).astype(np.float32)
    layers = [kind(**options) for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)]
    expected, found = (train(layer, images) for layer in layers)
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=TOLERANCE[precision], atol=TOLERANCE[precision])
    evaluated = [np.asarray(tf.cast(layer(images, training=False), tf.float32)) for layer in layers]
    np.testing.assert_allclose(*evaluated, rtol=TOLERANCE[precision], atol=TOLERANCE[precision])


def test_inputs_without_pixels_use_the_layer_of_keras() -> None:
    rows = np.random.default_rng(1).normal(3, 2, (8, 5)).astype(np.float32)
    results = [kind()(rows, training=True) for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)]
    np.testing.assert_array_equal(*results)


def test_a_copy_has_the_same_variables_and_each_normalization_fused() -> None:
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    model = keras.Model(inputs, outputs)
    copy = fused(model)
    assert [each.path for each in copy.variables] == [each.path for each in model.variables]
    assert type(copy.get_layer("norm")) is FusedBatchNormalization


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layers"), [("resnet50", 53), ("inception_v3", 94)])
def test_the_networks_train_with_one_operation_per_normalization(name: str, layers: int) -> None:
    model = load(name, {"image_size": 75}).model()
    spec = tf.TensorSpec([2, 75, 75, 3], tf.uint8)
    graph = tf.function(lambda images: model(images, training=True)).get_concrete_function(spec).graph
    kinds = [each.type for each in graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == layers
    assert "Rsqrt" not in kinds, "a layer of Keras computes the normalization in several operations"
