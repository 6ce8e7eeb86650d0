"""A warm start restores weights and slots; the counters begin at 0 or are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import averages, gradients, warm_start
from trainer.storage.checkpoints import Checkpoints

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "Adam": keras.optimizers.Adam,
    "Nadam": keras.optimizers.Nadam,
    "AdamW": lambda rate: keras.optimizers.AdamW(rate, use_ema=True),
    "Lion": keras.optimizers.Lion,
    "accumulating": lambda rate: keras.optimizers.Adam(rate, gradient_accumulation_steps=3),
}


def built(make: Callable[[float], Any], rate: Any, *, scaled: bool = False) -> tuple[Any, Any]:
    """Return a model of one weight of shape [2] and its optimizer, as `build` makes them."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs))
    optimizer = gradients.scaled(make(rate), "mixed_float16" if scaled else "float32")
    optimizer.build(model.trainable_variables)
    averages.begin(optimizer)
    return model, optimizer


def trained(make: Callable[[float], Any], folder: Path, steps: int, *, scaled: bool = False) -> tuple[Any, Any, str]:
    """Train some steps and save; return the model, the optimizer and the path of the checkpoint."""
    model, optimizer = built(make, 0.5, scaled=scaled)
    for _ in range(steps):
        optimizer.apply([tf.constant([[0.1], [0.2]])], model.trainable_variables)
    if scaled:
        optimizer.dynamic_scale.assign(64.0)
        optimizer.step_counter.assign(5)
    saver = Checkpoints(str(folder), keep=1, writer=True, on_chief=False, model=model, optimizer=optimizer)
    return model, optimizer, saver.save(steps).path


def restored(optimizer: Any, model: Any, path: str) -> None:
    """Restore as a warm start does."""
    part = warm_start.part_of(path, optimizer)
    saver = Checkpoints("unused", keep=1, writer=True, on_chief=False, model=model, optimizer=optimizer)
    with warm_start.own_rate(optimizer):
        saver.restore_parts(path, model=model, optimizer=part)


def innermost(optimizer: Any) -> Any:
    return list(gradients.nested(optimizer))[-1]


def slots(optimizer: Any) -> dict[str, Any]:
    """Return the variables of the size of the weight, without sums and averages, by their name."""
    kinds = ("momentum", "velocity")
    return {
        each.path.rpartition("_")[2]: each.numpy()
        for each in innermost(optimizer).variables
        if each.path.endswith(kinds)
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_reset_keeps_slots_and_weights_and_counts_from_0(name: str, tmp_path: Path) -> None:
    make = OPTIMIZERS[name]
    old, before, path = trained(make, tmp_path, 7)
    weights = old.trainable_variables[0].numpy()
    model, optimizer = built(make, 0.25)
    restored(optimizer, model, path)
    warm_start.begin_again(optimizer)
    kept = slots(optimizer)
    assert kept
    for slot, value in slots(before).items():
        np.testing.assert_array_equal(kept[slot], value)
        assert np.any(value), "the slots are not trivial"
    assert int(optimizer._iterations.numpy()) == 0
    assert float(optimizer.learning_rate.numpy()) == 0.25, "the rate is that of this job file"
    np.testing.assert_array_equal(model.trainable_variables[0].numpy(), weights)
    if name == "Nadam":
        assert float(optimizer._u_product.numpy()) == 1.0
    if name == "accumulating":
        assert not np.any(optimizer._accumulated_gradients[0].numpy()), "a part of a sum belongs to the other run"
    if name == "AdamW":
        np.testing.assert_array_equal(optimizer._model_variables_moving_average[0].numpy(), weights)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keep_continues_as_if_the_run_had_never_ended(name: str, tmp_path: Path) -> None:
    make = OPTIMIZERS[name]
    _, _, path = trained(make, tmp_path / "7", 7)
    _, whole, _ = trained(make, tmp_path / "10", 10)
    model, optimizer = built(make, 0.5)
    restored(optimizer, model, path)
    for _ in range(3):
        optimizer.apply([tf.constant([[0.1], [0.2]])], model.trainable_variables)
    for mine, theirs in zip(optimizer.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), mine.path)


def test_schedule_begins_anew(tmp_path: Path) -> None:
    def make(_: float) -> Any:
        return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 7))

    _, before, path = trained(make, tmp_path, 7)
    assert float(before.learning_rate) == 0.0
    model, optimizer = built(make, 0.5)
    restored(optimizer, model, path)
    warm_start.begin_again(optimizer)
    assert float(optimizer.learning_rate) == 0.5


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("here", [False, True])
def test_loss_scaling_may_come_and_go(here: bool, there: bool, tmp_path: Path) -> None:
    _, before, path = trained(keras.optimizers.Adam, tmp_path, 7, scaled=there)
    model, optimizer = built(keras.optimizers.Adam, 0.25, scaled=here)
    restored(optimizer, model, path)
    warm_start.begin_again(optimizer)
    np.testing.assert_array_equal(slots(optimizer)["velocity"], slots(before)["velocity"])
    assert int(optimizer.iterations.numpy()) == 0
    if here:
        assert float(optimizer.dynamic_scale.numpy()) == (64.0 if there else 2.0**15)
        assert int(optimizer.step_counter.numpy()) == 0


def test_other_shape_or_optimizer_raises_an_error(tmp_path: Path) -> None:
    _, _, path = trained(keras.optimizers.SGD, tmp_path, 1)
    model, optimizer = built(keras.optimizers.Adam, 0.5)
    with pytest.raises((AssertionError, ValueError)):
        restored(optimizer, model, path)
