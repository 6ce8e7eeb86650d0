"""Training data that are of another kind after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tensorflow as tf

from tests.unit.trainer.roles.in_process import steps_saved, train
from tests.unit.trainer.roles.test_not_a_number import Diverges
from trainer.engine.batches import InvalidData
from trainer.task import DataContext

SETTINGS = {
    "task": "tests.unit.trainer.roles.test_changed_data:Changing", "steps": 40, "batchSize": 8, "checkpointEvery": 20,
}  # fmt: skip
PLAIN = "(float32 [?, 3], float32 [?])"


class Changing(Diverges):
    """A line, whose data have the hyperparameter `kind`. A file that a run reads may change as this does."""

    defaults = {"bad": 1.0, "held_out": 3.0, "kind": "plain"}  # noqa: RUF012
    models: ClassVar[list[Any]] = []

    def model(self) -> Any:
        self.models.append(super().model())
        return self.models[-1]

    def dataset(self, context: DataContext, split: str) -> Any:
        data = super().dataset(context, split)
        if split == "eval":
            return data.repeat() if self.hp["kind"] == "forever" else data
        kinds = {
            "weighted": lambda x, y: (x, y, tf.ones_like(y)),
            "wide": lambda x, y: (tf.cast(x, tf.float64), y),
            "column": lambda x, y: (x, y[:, None]),
        }
        return data.map(kinds[self.hp["kind"]]) if self.hp["kind"] in kinds else data


def status(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run" / "status.json").read_text()))


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("weighted", "(float32 [?, 3], float32 [?], float32 [?])"),
        ("wide", "(float64 [?, 3], float32 [?])"),
        ("column", "(float32 [?, 3], float32 [?, 1])"),
    ],
)
def test_data_of_another_kind_are_refused_before_the_first_step_after_a_restart(
    kind: str, shown: str, tmp_path: Path
) -> None:
    train(tmp_path, "run", **SETTINGS)
    assert status(tmp_path)["data"] == PLAIN
    (tmp_path / "run" / "DONE").unlink()
    with pytest.raises(InvalidData) as error:
        train(tmp_path, "run", **{**SETTINGS, "steps": 60}, hyperparameters={"kind": kind})
    assert str(error.value) == (
        f'dataset(context, "train"): got elements {shown}; expected elements {PLAIN}, as before the restart. '
        "Set data to the same files again, or start a run under a new name."
    )
    assert steps_saved(tmp_path, "run") == [20, 40]
    assert status(tmp_path)["data"] == PLAIN, "or a further restart would train"
    assert train(tmp_path, "run", **{**SETTINGS, "steps": 60}).startswith("done at step 60")


def test_data_may_change_where_no_step_was_trained_and_in_the_size_of_a_batch(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not a number"):
        train(tmp_path, "run", **{**SETTINGS, "checkpointEvery": 500, "steps": 500}, hyperparameters={"bad": 1e30})
    assert status(tmp_path)["data"] == PLAIN
    assert not steps_saved(tmp_path, "run")
    train(tmp_path, "run", **SETTINGS, hyperparameters={"kind": "weighted"})
    (tmp_path / "run" / "DONE").unlink()
    half = {**SETTINGS, "steps": 60, "batchSize": 4}  # as with twice as many devices
    assert train(tmp_path, "run", **half, hyperparameters={"kind": "weighted"}).startswith("done at step 60")


def test_restart_tries_held_out_data_and_no_model(tmp_path: Path) -> None:
    Changing.models.clear()
    train(tmp_path, "run", **SETTINGS)
    assert len(Changing.models) == 4, "two of the trial, of the training and of the end"
    (tmp_path / "run" / "DONE").unlink()
    more = {**SETTINGS, "steps": 60}
    with pytest.raises(InvalidData, match="got an endless dataset"):
        train(tmp_path, "run", **more, hyperparameters={"kind": "forever"})
    assert steps_saved(tmp_path, "run") == [20, 40]
    Changing.models.clear()
    train(tmp_path, "run", **more)
    assert len(Changing.models) == 2
