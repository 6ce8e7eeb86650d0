"""Runs that diverge, through the real chief: `shared/cases/bugs/15` and its relatives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unit.trainer.roles.in_process import done, steps_saved, train
from trainer.runtime.errors import LostPeer, TaskFailed
from trainer.task import DataContext, Task

HERE = "tests.unit.trainer.roles.test_not_a_number"
SETTINGS = {"task": f"{HERE}:Diverges", "steps": 1000, "batchSize": 8, "checkpointEvery": 50, "keepCheckpoints": 2}


class Diverges(Task):
    """From step 100 on the loss is not a number, as after one bad record or a rate that is too high."""

    defaults = {"bad": math.nan, "held_out": 3.0}  # noqa: RUF012

    def model(self) -> Any:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(0.05)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context: DataContext, split: str) -> Any:
        if split == "eval":
            pair = (tf.ones([3]), float(self.hp["held_out"]))
            return tf.data.Dataset.from_tensors(pair).repeat(10).batch(context.batch_size)

        def batch(number: Any) -> Any:
            x = tf.ones([context.batch_size, 3]) * tf.where(number == 100, float(self.hp["bad"]), 1.0)
            return x, tf.fill([context.batch_size], 3.0)

        return tf.data.Dataset.counter().map(batch)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_diverged_run_ends_and_keeps_its_last_finite_checkpoints(bad: float, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"not a number at step 150: .* The last finite checkpoint is 100\. Lower"):
        train(tmp_path, "run", **SETTINGS, hyperparameters={"bad": bad})
    assert steps_saved(tmp_path, "run") == [50, 100]
    assert done(tmp_path, "run") == {}
    assert not (tmp_path / "run" / "export").exists()
    weights = tf.train.load_checkpoint(str(tmp_path / "run" / "checkpoints" / "ckpt-100"))
    for name in weights.get_variable_to_shape_map():
        if name.startswith(("model/", "optimizer/")) and np.issubdtype(weights.get_tensor(name).dtype, np.floating):
            assert np.all(np.isfinite(weights.get_tensor(name))), name


def test_each_restart_keeps_the_last_finite_checkpoint(tmp_path: Path) -> None:
    for _ in range(3):
        # Each start reads the data from the beginning, so each diverges after 101 further steps.
        with pytest.raises(TaskFailed, match="not a number"):
            train(tmp_path, "run", **SETTINGS)
        assert 100 in steps_saved(tmp_path, "run") or steps_saved(tmp_path, "run")[-1] > 100
    text = (tmp_path / "run" / "status.json").read_text()
    assert json.loads(text)["loss"] is None
    assert "NaN" not in text


def test_checkpoint_that_is_not_finite_is_set_aside(tmp_path: Path, lines: list[str]) -> None:
    train(tmp_path, "run", **{**SETTINGS, "steps": 90})
    directory = tmp_path / "run" / "checkpoints"
    spoil(directory / "ckpt-90")
    (tmp_path / "run" / "DONE").unlink()
    # The run of the same name may train on: only its hash must be the same.
    assert train(tmp_path, "run", **{**SETTINGS, "steps": 95}).startswith("done at step 95")
    assert any("checkpoint 90 is damaged: restoring the previous one (" in line for line in lines)
    assert (directory / "ckpt-90.index.damaged").exists()


def test_run_with_no_finite_checkpoint_starts_again_in_a_new_process(tmp_path: Path) -> None:
    train(tmp_path, "run", **{**SETTINGS, "steps": 40})
    spoil(tmp_path / "run" / "checkpoints" / "ckpt-40")
    (tmp_path / "run" / "DONE").unlink()
    with pytest.raises(LostPeer, match="no checkpoint is left"):
        train(tmp_path, "run", **{**SETTINGS, "steps": 50})
    assert train(tmp_path, "run", **{**SETTINGS, "steps": 50}).startswith("done at step 50")


def spoil(path: Path) -> None:
    """Replace a weight of the checkpoint by one that is not a number."""
    model = Diverges({}).model()
    optimizer, step = keras.optimizers.SGD(0.05), tf.Variable(0, dtype=tf.int64)
    optimizer.build(model.trainable_variables)
    whole = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step)
    whole.read(str(path)).expect_partial()
    model.trainable_variables[0].assign(tf.fill([3, 1], math.nan))
    whole.write(str(path))


def test_held_out_loss_that_is_not_a_number_is_null_in_valid_json(tmp_path: Path) -> None:
    words = train(tmp_path, "run", **{**SETTINGS, "steps": 20}, hyperparameters={"held_out": math.nan})
    assert words == "done at step 20: loss not a number"
    assert done(tmp_path, "run")["metrics"] == {"loss": None}
    for path in (tmp_path / "run" / "DONE", tmp_path / "run" / "status.json"):
        assert json.loads(path.read_text(), parse_constant=pytest.fail)
