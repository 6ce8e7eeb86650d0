"""The evaluator's treatment of checkpoints, with a fake evaluation."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from trainer.roles.evaluator import Evaluator
from trainer.runtime.config import RunRecord
from trainer.storage import checkpoints
from trainer.storage.checkpoints import CheckpointRef, DamagedError
from trainer.storage.evaluation_record import EvaluationRecord
from trainer.storage.run_dir import RunDir

pytestmark = pytest.mark.slow


class FakeEvaluation:
    """Replaces `evaluation.Evaluation`; the test sets the loss and the error of each checkpoint."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}
        self.trouble: dict[int, Exception] = {}
        self.restored: list[int] = []
        self.model = keras.Sequential()
        self.before_run: Callable[[], None] = lambda: None

    def restore(self, found: CheckpointRef) -> None:
        if error := self.trouble.get(found.step):
            raise error
        self.restored.append(found.step)

    def run(self) -> dict[str, float]:
        self.before_run()
        return {"loss": self.losses[self.restored[-1]]}


class EvalSummaryWriter:
    """Replaces `evaluation.EvalSummaryWriter`; records the points."""

    def __init__(self) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []

    def add(self, step: int, metrics: dict[str, float]) -> None:
        self.points.append((step, metrics))


class World:
    """A run directory with checkpoints, and an evaluator."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.run_dir = RunDir(str(path / "little"), record)
        self.run_dir.claim()
        self.folder = Path(self.run_dir.checkpoints)
        self.folder.mkdir()
        self.local, self.summaries = FakeEvaluation(), EvalSummaryWriter()
        self.evaluator = self.new_evaluator()

    def new_evaluator(self) -> Evaluator:
        record = EvaluationRecord(run_dir=self.run_dir, early_stopping=None)
        return Evaluator(self.run_dir, self.local, self.summaries, record)  # type: ignore[arg-type]

    def save(self, step: int, loss: float) -> None:
        for part in ("data-00000-of-00001", "index"):
            (self.folder / f"ckpt-{step}.{part}").write_text(f"{step} {part}")
        self.local.losses[step] = loss

    def delete(self, step: int) -> None:
        for path in self.folder.glob(f"ckpt-{step}.*"):
            path.unlink()

    @property
    def written(self) -> dict[str, object]:
        return json.loads((Path(self.run_dir.path) / "evaluation.json").read_text())  # type: ignore[no-any-return]

    @property
    def best(self) -> list[str]:
        return sorted(path.name for path in (Path(self.run_dir.path) / "best").iterdir())


@pytest.fixture
def world(tmp_path: Path, record: RunRecord, lines: list[str]) -> World:
    return World(tmp_path, record)


def test_evaluator_evaluates_each_checkpoint_once_and_keeps_the_best(world: World) -> None:
    for step, loss in ((10, 3.0), (20, 1.0), (30, 2.0)):
        world.save(step, loss)
    world.evaluator.poll()
    world.evaluator.poll()
    assert world.local.restored == [10, 20, 30]
    assert [step for step, _ in world.summaries.points] == [10, 20, 30]
    assert world.best == ["checkpoint", "ckpt-20.data-00000-of-00001", "ckpt-20.index"]
    path = f"{world.run_dir.path}/best/ckpt-20"
    assert world.written["best"] == {"step": 20, "metric": "loss", "value": 1.0, "path": path}
    assert Path(f"{path}.index").read_text() == "20 index"
    world.evaluator = world.new_evaluator()
    world.save(40, 5.0)
    world.evaluator.poll()
    assert world.local.restored == [10, 20, 30, 40], "a new evaluator must not evaluate old checkpoints again"


def test_evaluator_skips_deleted_and_damaged_checkpoints(world: World, lines: list[str]) -> None:
    for step in (10, 20, 30):
        world.save(step, 1.0)
    world.local.trouble = {10: tf.errors.NotFoundError(None, None, "x"), 20: DamagedError("x")}
    world.evaluator.poll()
    assert world.local.restored == [30]
    assert "checkpoint 10 was deleted before it could be evaluated" in lines
    assert "checkpoint 20 is damaged" in lines
    world.save(40, 1.0)
    world.local.trouble[40] = tf.errors.InvalidArgumentError(None, None, "another model")
    with pytest.raises(tf.errors.InvalidArgumentError):
        world.evaluator.poll()


def test_weights_are_kept_if_the_best_checkpoint_is_deleted_during_its_evaluation(world: World) -> None:
    world.save(10, 1.0)
    world.local.before_run = lambda: world.delete(10)
    world.evaluator.poll()
    assert world.best == ["checkpoint", "ckpt-10.data-00000-of-00001", "ckpt-10.index"]
    assert world.written["best"]["path"].endswith("best/ckpt-10")  # type: ignore[index]


def test_full_storage_does_not_end_the_evaluator(
    world: World, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    def full(found: CheckpointRef, directory: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.save(10, 1.0)
    monkeypatch.setattr(checkpoints, "keep", full)
    world.evaluator.poll()
    assert "cannot write the evaluation: the storage is full" in lines[-1]
