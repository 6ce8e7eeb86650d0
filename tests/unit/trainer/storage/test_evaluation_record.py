"""The best checkpoint, early stopping, and a restart of the evaluator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.runtime.config import EarlyStopping, RunRecord
from trainer.runtime.errors import ConfigError
from trainer.storage.evaluation_record import EvaluationRecord
from trainer.storage.run_dir import RunDir


@pytest.fixture
def run_dir(tmp_path: Path, record: RunRecord) -> RunDir:
    found = RunDir(str(tmp_path / "little"), record)
    found.claim()
    return found


def record(run_dir: RunDir, **rule: object) -> EvaluationRecord:
    return EvaluationRecord(run_dir=run_dir, early_stopping=EarlyStopping(**rule) if rule else None)  # type: ignore[arg-type]


def test_lowest_loss_is_best_without_early_stopping(run_dir: RunDir) -> None:
    it = record(run_dir)
    assert [it.add(i, {"loss": loss}) for i, loss in enumerate((3.0, 2.0, 2.5, float("nan"), 2.0, 1.0))] == [
        True, True, False, False, False, True
    ]  # fmt: skip
    assert it.best == {"step": 5, "metric": "loss", "value": 1.0, "path": None}
    assert it.stop is None


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_patience_counts_evaluations_without_an_improvement(run_dir: RunDir, mode: str, sign: int) -> None:
    it = record(run_dir, metric="auc", mode=mode, patience=2, min_delta=0.1)
    for step, value in enumerate((1.0, 1.05, 1.2, 1.25)):
        it.add(step, {"auc": sign * value})
        assert it.stop is None
    it.add(4, {"auc": sign * 1.29})
    assert it.stop == {
        "step": 4, "reason": f"auc did not improve in 2 evaluations: the best is {sign * 1.2} at step 2"
    }  # fmt: skip
    it.add(5, {"auc": sign * 9.0})
    assert it.stop["step"] == 4, "the first stop is final"
    assert it.best is not None
    assert it.best["step"] == 5


def test_restarted_evaluator_continues_from_the_file(run_dir: RunDir) -> None:
    it = record(run_dir, metric="accuracy", patience=2)
    for step, value in ((10, 0.9), (20, 0.8)):
        it.add(step, {"accuracy": value})
    it.write()
    assert run_dir.early_stop() is None
    again = record(run_dir, metric="accuracy", patience=2)
    assert (again.evaluated, again.since_best, again.best) == (20, 1, it.best)
    again.add(30, {"accuracy": 0.85})
    again.write()
    assert run_dir.early_stop() == again.stop
    assert json.loads(Path(run_dir.at("evaluation.json")).read_text())["sinceBest"] == 2


def test_refusal_of_an_unknown_metric_lists_the_metrics_of_the_task(run_dir: RunDir) -> None:
    with pytest.raises(ConfigError, match=r'earlyStopping\.metric: got "auc"; expected one of "accuracy", "loss"'):
        record(run_dir, metric="auc").add(1, {"loss": 1.0, "accuracy": 0.5})
    assert not record(run_dir).add(1, {}), "evaluation data is optional without early stopping"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stop": "now"}'])
def test_malformed_file_does_not_stop_the_run(run_dir: RunDir, text: str) -> None:
    Path(run_dir.at("evaluation.json")).write_text(text)
    assert run_dir.early_stop() is None


def test_small_improvements_count_and_are_shown(run_dir: RunDir) -> None:
    it = record(run_dir, metric="loss", mode="min", patience=2)
    values = [3.2e-7 - 1e-9 * step for step in range(5)]
    assert [it.add(step, {"loss": value}) for step, value in enumerate(values)] == [True] * 5
    for step in (5, 6):
        assert not it.add(step, {"loss": values[-1]})
    assert it.stop == {"step": 6, "reason": "loss did not improve in 2 evaluations: the best is 3.16e-07 at step 4"}
    it.write()
    assert run_dir.read_evaluation()["best"]["value"] == values[-1]
