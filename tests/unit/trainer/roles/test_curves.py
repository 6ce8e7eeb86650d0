"""The curves in TensorBoard after a restart: `shared/cases/bugs/21`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.unit.trainer.roles.in_process import curve, steps_saved, train
from tests.unit.trainer.roles.test_warm_start import Line
from trainer.task import DataContext

SETTINGS = {
    "task": "tests.unit.trainer.roles.test_curves:Crashes", "steps": 200, "batchSize": 16, "summaryEvery": 10,
    "checkpointEvery": 100,
}  # fmt: skip


class Crashes(Line):
    """Raises an error when it has read `stop_at` examples."""

    def stop(self) -> None:
        raise ValueError("crash")


class Named(keras.Model):  # type: ignore[misc]
    """Takes a mapping and nothing else, so TensorBoard's graph, which is traced with a list, cannot be drawn."""

    def __init__(self) -> None:
        inputs = {name: keras.Input((3,), name=name) for name in "ab"}
        super().__init__(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(list(inputs.values()))))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not isinstance(inputs, dict):
            raise RuntimeError  # without a text
        return super().call(inputs, training=training, mask=mask)


class TwoInputs(Line):
    """A line of two features with names."""

    def model(self) -> Any:
        return Named()

    def dataset(self, context: DataContext, split: str) -> Any:
        return super().dataset(context, split).map(lambda x, y: ({"a": x, "b": x}, y))


def crash(folder: Path, step: int) -> None:
    """Train until an error, and return in another second than that of the last event file.

    TensorBoard reads the event files in the order of the seconds in their names. A new process takes longer than one.
    """
    with pytest.raises(Exception, match="crash"):
        train(folder, "run", **SETTINGS, hyperparameters={"stop_at": 16 * step})
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.05)


def test_curves_have_one_point_a_step_after_restarts(tmp_path: Path) -> None:
    crash(tmp_path, 55)
    before: list[Any] = curve(tmp_path, "run", "loss")
    assert before[-1][0] >= 40, "points of steps that no checkpoint holds"
    crash(tmp_path, 175)
    assert steps_saved(tmp_path, "run") == [100]
    assert curve(tmp_path, "run", "loss")[-1][0] >= 150
    train(tmp_path, "run", **SETTINGS)
    for tag in ("loss", "learning_rate"):
        assert [step for step, _ in curve(tmp_path, "run", tag)] == list(range(10, 201, 10))


def test_model_whose_graph_cannot_be_drawn_is_trained(tmp_path: Path, lines: list[str]) -> None:
    task = "tests.unit.trainer.roles.test_curves:TwoInputs"
    assert train(tmp_path, "run", **{**SETTINGS, "task": task, "steps": 20}).startswith("done at step 20")
    assert any(line.startswith("no graph in TensorBoard: RuntimeError") for line in lines)
