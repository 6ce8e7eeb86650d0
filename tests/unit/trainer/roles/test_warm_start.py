"""Warm starts and continued schedules through the real chief: `shared/cases/bugs/09` and its relatives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.unit.trainer.roles import in_process
from tests.unit.trainer.roles.in_process import curve, done, steps_saved, train
from trainer.runtime.errors import ConfigError, Stopped
from trainer.task import DataContext, Task

HERE = "tests.unit.trainer.roles.test_warm_start"
FIRST = {"task": f"{HERE}:Line", "steps": 100, "batchSize": 16, "summaryEvery": 25}


class Line(Task):
    """A rate that falls to 0 over the run's own steps, as docs/writing-a-task.md shows it."""

    defaults = {"learning_rate": 0.05, "stop_at": 0}  # noqa: RUF012

    def model(self) -> Any:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="line")])

    def optimizer(self) -> Any:
        rate = keras.optimizers.schedules.CosineDecay(float(self.hp["learning_rate"]), self.settings.steps)
        return keras.optimizers.SGD(rate, momentum=0.9)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context: DataContext, split: str) -> Any:
        x = tf.random.stateless_uniform([64, 3], [1, 2])
        data = tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1)))
        if split == "train":
            return data.repeat().map(self.watched).batch(context.batch_size, drop_remainder=True)
        return data.batch(context.batch_size)

    def stop(self) -> None:
        in_process.stop.set()

    def watched(self, x: Any, y: Any) -> Any:
        """Call `stop` when `stop_at` examples are read."""
        read = 0

        def count() -> int:
            nonlocal read
            read += 1
            if read == self.hp["stop_at"]:
                self.stop()
            return 0

        if not self.hp["stop_at"]:
            return x, y
        with tf.control_dependencies([tf.numpy_function(count, [], tf.int64)]):
            return tf.identity(x), y


class Wider(Line):
    """Another model."""

    def model(self) -> Any:
        inputs = keras.Input((3,))
        return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(5)(inputs)))


class Constant(Line):
    """A constant rate, which Keras saves with the optimizer."""

    def optimizer(self) -> Any:
        return keras.optimizers.Adam(float(self.hp["learning_rate"]))


def cosine(step: int, steps: int) -> float:
    return 0.05 * 0.5 * (1 + math.cos(math.pi * step / steps))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with the finished run `first`."""
    path = tmp_path_factory.mktemp("runs")
    train(path, "first", **FIRST)
    return path


def test_schedule_of_a_warm_start_begins_at_step_0(folder: Path) -> None:
    train(folder, "second", warm_start_from="first", **FIRST)
    rates = curve(folder, "second", "learning_rate")
    assert [step for step, _ in rates] == [25, 50, 75, 100]
    for step, rate in rates:
        assert rate == pytest.approx(cosine(step, 100), abs=1e-6)
    assert done(folder, "second")["metrics"]["loss"] < done(folder, "first")["metrics"]["loss"], "it trains on"


def test_schedule_of_a_stopped_run_continues_in_a_copy(folder: Path) -> None:
    with pytest.raises(Stopped):
        train(folder, "late", **{**FIRST, "steps": 400, "hyperparameters": {"stop_at": 16 * 130}})
    [at] = steps_saved(folder, "late")[-1:]
    assert 0 < at < 400
    settings = {**FIRST, "steps": 400, "warmStartIterations": "keep"}
    assert train(folder, "continued", warm_start_from="late", **settings).startswith("done at step 400")
    rates = curve(folder, "continued", "learning_rate")
    assert rates[0][0] > at
    assert rates[-1][0] == 400
    for step, rate in rates:
        assert rate == pytest.approx(cosine(step, 400), abs=1e-6)


def test_continuing_needs_steps_that_are_left(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer.steps: got 100; expected more than the 100 steps of first"):
        train(folder, "over", warm_start_from="first", **{**FIRST, "warmStartIterations": "keep"})


def test_other_model_is_refused_before_the_first_step(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r'warmStartFrom: got "first", whose checkpoint 100 does not fit \(.*\); e'):
        train(folder, "wider", warm_start_from="first", **{**FIRST, "task": f"{HERE}:Wider"})


def test_other_optimizer_is_refused_before_the_first_step(folder: Path) -> None:
    with pytest.raises(ConfigError, match="whose checkpoint 100 does not fit"):
        train(folder, "adam", warm_start_from="first", **{**FIRST, "task": f"{HERE}:Constant"})


def test_rate_of_the_job_file_replaces_that_of_the_other_run(folder: Path) -> None:
    settings = {**FIRST, "task": f"{HERE}:Constant"}
    train(folder, "constant", **settings)
    train(folder, "lower", warm_start_from="constant", **{**settings, "hyperparameters": {"learning_rate": 0.001}})
    assert [rate for _, rate in curve(folder, "lower", "learning_rate")] == [pytest.approx(0.001)] * 4
