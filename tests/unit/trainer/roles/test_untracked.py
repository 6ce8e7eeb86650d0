"""Layers, variables and optimizers in lists and dicts, which TensorFlow's checkpoints do not find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unit.trainer.roles import in_process
from tests.unit.trainer.roles.in_process import done, train
from tests.unit.trainer.roles.test_warm_start import Line
from trainer.embedding import Embedding
from trainer.engine import untracked
from trainer.engine.evaluation import Evaluation
from trainer.runtime.errors import Stopped
from trainer.storage import checkpoints
from trainer.storage.checkpoints import Checkpoints

pytestmark = pytest.mark.slow

HERE = "tests.unit.trainer.roles.test_untracked"
SETTINGS: dict[str, Any] = {
    "task": f"{HERE}:Blocks",
    "steps": 60,
    "batchSize": 16,
    "hyperparameters": {"learning_rate": 0.05},
}


class Block(keras.layers.Layer):  # type: ignore[misc]
    """Layers in `parts`, as those of a transformer, and weights in a list."""

    def __init__(self, parts: Any) -> None:
        super().__init__()
        self.parts = parts
        self.scales: list[Any] = []

    def each(self) -> list[Any]:
        return list(tf.nest.flatten(self.parts))

    def build(self, shape: Any) -> None:
        for part in self.each():
            part.build(shape)
            self.scales.append(self.add_weight((), initializer="ones"))
        super().build(shape)

    def call(self, inputs: Any) -> Any:
        for part, scale in zip(self.each(), self.scales, strict=True):
            inputs = part(inputs) * scale
        return inputs


def dense() -> Any:
    return keras.layers.Dense(3, bias_initializer="normal")


class Blocks(Line):
    """A model and an optimizer with all they have in lists."""

    def model(self) -> Any:
        return keras.Sequential([keras.Input((3,)), Block([dense(), dense()]), keras.layers.Dense(1)])

    def optimizer(self) -> Any:
        # The schedule shows the iterations, and the momentum the slots.
        rate = keras.optimizers.schedules.CosineDecay(float(self.hp["learning_rate"]), self.settings.steps)
        kernels, others = keras.optimizers.Adam(rate), keras.optimizers.SGD(rate, momentum=0.9)
        return keras.optimizers.MultiOptimizer(lambda variable: kernels if "kernel" in variable.path else others)


class Tables(Block):
    """Embedding tables in a list, whose variables Keras does not list."""

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape, 3)


def of_ids() -> Any:
    return keras.Sequential([keras.Input((), dtype="int32"), Tables([Embedding(5, 3)])])


MODELS: dict[str, Any] = {
    "list": lambda: keras.Sequential([keras.Input((3,)), Block([dense(), dense()])]),
    "dict": lambda: keras.Sequential([keras.Input((3,)), Block({"b": dense(), "a": dense()})]),
    "list in a list": lambda: keras.Sequential([keras.Input((3,)), Block([[dense()], [dense()]])]),
    "cells": lambda: keras.Sequential(
        [keras.Input((2, 3)), keras.layers.RNN([keras.layers.LSTMCell(3), keras.layers.GRUCell(3)])]
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_all_weights_of_a_model_are_restored(name: str, tmp_path: Path) -> None:
    model, fresh = MODELS[name](), MODELS[name]()
    parts = {"model": model, **untracked.of_model(model)}
    path = Checkpoints(str(tmp_path), keep=1, writer=True, on_chief=False, **parts).save(1).path
    checkpoints.restore_model(path, fresh, **untracked.of_model(fresh))
    for mine, theirs in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_layer_of_attributes_needs_no_part() -> None:
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.Bidirectional(keras.layers.LSTM(2))])
    optimizer = keras.optimizers.AdamW(use_ema=True)
    optimizer.build(model.trainable_variables)
    assert untracked.saved(optimizer, model) == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with the finished run `whole`."""
    path = tmp_path_factory.mktemp("runs")
    train(path, "whole", **SETTINGS)
    return path


def weights(folder: Path, run: str) -> list[Any]:
    """Return the weights of the last checkpoint of `run`."""
    evaluation = Evaluation(Blocks(dict(Blocks.defaults)), batch_size=16, data_dir=None)
    found = checkpoints.newest_complete(str(folder / run / "checkpoints"))
    assert found
    evaluation.restore(found)
    assert evaluation.run()["loss"] == pytest.approx(done(folder, run)["metrics"]["loss"], rel=1e-4)
    return list(evaluation.model.get_weights())


def test_run_that_is_restarted_trains_the_same_weights(folder: Path) -> None:
    stopping = {"learning_rate": 0.05, "stop_at": 16 * 25}
    with pytest.raises(Stopped):
        train(folder, "restarted", **{**SETTINGS, "hyperparameters": stopping})
    [at] = in_process.steps_saved(folder, "restarted")
    assert 0 < at < 60
    train(folder, "restarted", **SETTINGS)
    for mine, theirs in zip(weights(folder, "whole"), weights(folder, "restarted"), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_warm_start_begins_with_all_weights(folder: Path) -> None:
    settings = {**SETTINGS, "steps": 1, "hyperparameters": {"learning_rate": 0.0}}
    train(folder, "warm", warm_start_from="whole", **settings)
    for mine, theirs in zip(weights(folder, "whole"), weights(folder, "warm"), strict=True):
        # The momentum of the other run still moves the weights a little.
        np.testing.assert_allclose(mine, theirs, atol=0.01)


def test_best_checkpoint_has_all_weights(tmp_path: Path) -> None:
    model, fresh = MODELS["list"](), MODELS["list"]()
    path = checkpoints.keep_model(model, 3, str(tmp_path), **untracked.of_model(model))
    checkpoints.restore_model(path, fresh, **untracked.of_model(fresh))
    np.testing.assert_array_equal(model.get_weights()[0], fresh.get_weights()[0])


def test_table_in_a_list_is_restored(tmp_path: Path) -> None:
    model, fresh = of_ids(), of_ids()
    path = checkpoints.keep_model(model, 3, str(tmp_path), **untracked.of_model(model))
    checkpoints.restore_model(path, fresh, **untracked.of_model(fresh))
    ids = tf.constant([0, 4])
    np.testing.assert_array_equal(model(ids), fresh(ids))


def test_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    model = MODELS["list"]()
    path = checkpoints.keep_model(model, 3, str(tmp_path))
    with pytest.raises(AssertionError):
        checkpoints.restore_model(path, model, **untracked.of_model(model))
