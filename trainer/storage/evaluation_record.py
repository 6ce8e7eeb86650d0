"""The file evaluation.json: the best checkpoint so far, and whether the run should end.

    {"best": {"step", "metric", "value", "path"} | null,
     "last": {"step", "metrics"} | null,
     "sinceBest": number of evaluations after the best one,
     "stop": {"step", "reason"} | null}

Only the evaluator writes the file. The chief (or worker 0) reads `stop`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trainer.runtime.config import EarlyStopping
from trainer.runtime.errors import ConfigError, one_of
from trainer.runtime.serialize import to_json
from trainer.storage import files
from trainer.storage.run_dir import RunDir

LOWEST_LOSS: Final = EarlyStopping(metric="loss", mode="min")
"""The rule for the best checkpoint in a run without early stopping."""


def require_metric(rule: EarlyStopping, metrics: Mapping[str, float]) -> None:
    """Check that `metrics` contains the metric of `rule`.

    Raises:
        ConfigError: the task does not have the metric of early stopping.

    """
    if rule.metric in metrics:
        return
    known = one_of(sorted(metrics)) if metrics else "a task with evaluation data"
    raise ConfigError("trainer.earlyStopping.metric", got=rule.metric, expected=known, fix="Set a metric of the task")


@dataclass(slots=True, kw_only=True)
class EvaluationRecord:
    """The results of the evaluations of a run so far."""

    run_dir: RunDir
    early_stopping: EarlyStopping | None
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    since_best: int = 0
    stop: dict[str, Any] | None = None
    _rule: EarlyStopping = field(init=False)

    def __post_init__(self) -> None:
        """Continue from the file of an earlier evaluator of this run."""
        self._rule = self.early_stopping or LOWEST_LOSS
        before = self.run_dir.read_evaluation()
        self.best, self.last, self.stop = before.get("best"), before.get("last"), before.get("stop")
        self.since_best = int(before.get("sinceBest") or 0)

    @property
    def evaluated(self) -> int:
        """The step of the last evaluation, -1 before the first one."""
        return int(self.last["step"]) if self.last else -1

    def add(self, step: int, metrics: dict[str, float]) -> bool:
        """Add the `metrics` of the checkpoint of `step`; return whether that checkpoint is the best so far.

        Raises:
            ConfigError: the task does not have the metric of early stopping.

        """
        rule = self._rule
        self.last = {"step": step, "metrics": metrics}
        if self.early_stopping is None and rule.metric not in metrics:  # The task has no evaluation data.
            return False
        require_metric(rule, metrics)
        value = metrics[rule.metric]
        if rule.better(value, self.best["value"] if self.best else None):
            self.best = {"step": step, "metric": rule.metric, "value": value, "path": None}
            self.since_best = 0
            return True
        self.since_best += 1
        if self.early_stopping and self.stop is None and self.since_best >= rule.patience:
            best = (
                f"the best is {self.best['value']:.6g} at step {self.best['step']}" if self.best else "no finite value"
            )
            reason = f"{rule.metric} did not improve in {self.since_best} evaluations: {best}"
            self.stop = {"step": step, "reason": reason}
        return False

    def write(self) -> None:
        """Write evaluation.json."""
        content = {"best": self.best, "last": self.last, "sinceBest": self.since_best, "stop": self.stop}
        files.write_text(self.run_dir.at("evaluation.json"), to_json(content))
