"""The curves in TensorBoard after a restart: `shared/cases/bugs/21`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.roles.in_process import curve, steps_saved, train
from tests.unit.trainer.roles.test_warm_start import Line

SETTINGS = {
    "task": "tests.unit.trainer.roles.test_curves:Crashes", "steps": 200, "batchSize": 16, "summaryEvery": 10,
    "checkpointEvery": 100,
}  # fmt: skip


class Crashes(Line):
    """Raises an error when it has read `stop_at` examples."""

    def stop(self) -> None:
        raise ValueError("crash")


def crash(folder: Path, step: int) -> None:
    with pytest.raises(Exception, match="crash"):
        train(folder, "run", **SETTINGS, hyperparameters={"stop_at": 16 * step})


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
