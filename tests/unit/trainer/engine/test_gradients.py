"""What is refused about an optimizer, and which averages are evaluated; test_numbers tries the strategies."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import averages, gradients
from trainer.runtime.errors import ConfigError
from trainer.runtime.types import Model
from trainer.storage.checkpoints import Checkpoints, restore_model

pytestmark = pytest.mark.slow


def model() -> Model:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])


def test_optimizer_that_is_not_from_keras_is_refused_by_its_class() -> None:
    class Own:
        pass

    with pytest.raises(ConfigError, match=r"optimizer\(\): got Own; expected a keras.optimizers.Optimizer\. "):
        gradients.refuse(model(), Own(), tf.distribute.get_strategy(), jit_compile=False)


def test_every_optimizer_that_another_one_wraps_is_known() -> None:
    first, second = keras.optimizers.SGD(), keras.optimizers.Adam()
    both = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(first, {"a/.*": second}))
    scaled = gradients.scaled(both, "mixed_float16")
    assert {id(each) for each in gradients.nested(scaled)} == {id(each) for each in (scaled, both, first, second)}
    assert gradients.scaled(scaled, "mixed_float16") is scaled
    assert gradients.scaled(first, "float32") is first


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_averages_are_restored_and_the_trained_weights_are_left_alone(tmp_path: Path, precision: str) -> None:
    trained = model()
    optimizer = gradients.scaled(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5), precision)
    optimizer.build(trained.trainable_variables)
    averages.begin(optimizer)
    parts = {"model": trained, "optimizer": optimizer, **averages.saved(optimizer, trained)}
    saver = Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, **parts)
    fresh = model()
    restore_model(saver.save(0).path, fresh)
    np.testing.assert_array_equal(fresh.get_weights()[0], [[1.0], [1.0]])
    scale = float(optimizer.scale_loss(1.0))
    for _ in range(2):
        optimizer.apply([scale * tf.ones_like(each) for each in trained.trainable_variables])
    restore_model(saver.save(2).path, fresh)
    np.testing.assert_array_equal(trained.get_weights()[0], [[0.0], [0.0]])
    np.testing.assert_array_equal(fresh.get_weights()[0], [[0.25], [0.25]])


def test_weights_are_restored_where_no_averages_are_kept(tmp_path: Path) -> None:
    trained = model()
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(trained.trainable_variables)
    assert averages.saved(optimizer, trained) == {}
    saver = Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, model=trained, optimizer=optimizer)
    trained.set_weights([np.full((2, 1), 3.0), np.zeros(1)])
    fresh = model()
    restore_model(saver.save(1).path, fresh)
    np.testing.assert_array_equal(fresh.get_weights()[0], [[3.0], [3.0]])
