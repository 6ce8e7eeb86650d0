"""Random numbers of layers, and checkpoints without their states; test_numbers tries the strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import averages, replicated
from trainer.storage.checkpoints import Checkpoints

pytestmark = pytest.mark.slow


def test_workers_that_read_one_state_draw_different_numbers() -> None:
    generator = replicated.Generator(1)
    before = generator.state.numpy()
    with replicated.drawing_apart():
        draw = tf.function(lambda: keras.random.normal((2,), seed=generator))
        numbers = []
        for _ in range(2):
            generator.state.assign(before)
            numbers.append(draw().numpy())
    assert len(np.unique(numbers)) == 4
    generator.state.assign(before)
    first = keras.random.normal((2,), seed=generator)
    generator.state.assign(before)
    np.testing.assert_array_equal(first, keras.random.normal((2,), seed=generator))


def test_operations_without_a_seed_draw_from_the_state_that_is_saved() -> None:
    generator = replicated.Generator(1)
    replicated.draw_unseeded_from(generator)
    before = generator.state.numpy().tolist()
    keras.random.normal(())
    assert generator.state.numpy().tolist() != before
    assert generator.state in replicated.seeds(keras.Sequential(), generator)


def parts(**more: Any) -> tuple[Any, dict[str, Any]]:
    """Return a model with dropout, and what a run saves of it."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5, seed=3), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.5, use_ema=True)
    optimizer.build(model.trainable_variables)
    return model, {"model": model, "optimizer": optimizer, **more}


def test_checkpoint_of_an_earlier_version_is_restored(tmp_path: Path) -> None:
    old, saved = parts()
    old.set_weights([np.full((2, 1), 3.0), np.zeros(1)])
    path = Checkpoints(str(tmp_path), keep=1, writer=True, on_chief=False, **saved).save(1).path
    model, saved = parts()
    new = {**averages.saved(saved["optimizer"], model), **replicated.saved(model, replicated.Generator(1))}
    assert set(new) == {"averages", "random"}
    Checkpoints(str(tmp_path), keep=1, writer=True, on_chief=False, **saved, **new).restore(path)
    np.testing.assert_array_equal(model.get_weights()[0], [[3.0], [3.0]])


def test_checkpoint_without_a_part_that_every_version_saves_is_refused(tmp_path: Path) -> None:
    model, saved = parts()
    path = Checkpoints(str(tmp_path), keep=1, writer=True, on_chief=False, model=model).save(1).path
    with pytest.raises(AssertionError):
        Checkpoints(str(tmp_path), keep=1, writer=True, on_chief=False, **saved).restore(path)


def test_random_states_are_restored(tmp_path: Path) -> None:
    model, saved = parts()
    unseeded = replicated.Generator(1)
    states = replicated.seeds(model, unseeded)
    assert len(states) == 2
    saver = Checkpoints(
        str(tmp_path), keep=1, writer=True, on_chief=False, **saved, **replicated.saved(model, unseeded)
    )
    for each in states:
        each.assign([7, 8])
    path = saver.save(1).path
    for each in states:
        each.assign([0, 0])
    saver.restore(path)
    assert [each.numpy().tolist() for each in states] == [[7, 8], [7, 8]]
