"""The evaluator: a task of its own that evaluates every new checkpoint until the run has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trainer.roles.context import Context
from trainer.runtime import errors, exit_codes
from trainer.runtime.errors import GaveUp
from trainer.runtime.logs import describe, fields, log
from trainer.runtime.types import Json
from trainer.storage.evaluation_record import EvaluationRecord
from trainer.storage.run_dir import RunDir

if TYPE_CHECKING:  # these two import TensorFlow
    from trainer.engine.evaluation import EvalSummaryWriter, Evaluation
    from trainer.storage.checkpoints import CheckpointRef

_POLL_EVERY: Final = 1.0


@dataclass(slots=True, kw_only=True)
class RunMonitor:
    """Tells from the run directory whether the run goes on, is done, has failed or was given up. Times are seconds."""

    run_dir: RunDir
    start_timeout: float
    orphan_timeout: float
    clock: Callable[[], float] = time.monotonic
    _first: Json = field(default=None, init=False)
    _last: Json = field(default=None, init=False)
    _changed: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._first = self._last = self.run_dir.read_status()
        self._changed = self.clock()

    def done(self) -> bool:
        """Say whether the run is done.

        Raises:
            TrainerExit: it has failed, or nothing has happened for too long.

        """
        if self.run_dir.done() is not None:
            return True
        status = self.run_dir.read_status()
        if status != self._last:
            self._last, self._changed = status, self.clock()
        # A failure that was there at the start belongs to an earlier attempt.
        if status and status.get("state") == "failed" and status != self._first:
            code = int(status.get("exitCode") or exit_codes.FAILED)
            raise errors.from_code(code, f"the run failed: {status.get('message')}")
        began = status != self._first
        patience = self.orphan_timeout if began else max(self.start_timeout, self.orphan_timeout)
        if (idle := self.clock() - self._changed) >= patience:
            raise GaveUp(f"status.json has not changed for {idle:.0f} s: the chief is gone")
        return False


def run(context: Context) -> str:
    """Evaluate every new checkpoint; return the last words when the run is done.

    Raises:
        TrainerExit: the run ended otherwise than done.

    """
    import keras

    from trainer.engine import evaluation
    from trainer.task import load

    settings, run_dir = context.record.trainer, context.run_dir
    monitor = RunMonitor(
        run_dir=run_dir,
        start_timeout=context.env.start_timeout,
        orphan_timeout=context.env.orphan_timeout,
    )
    keras.config.set_dtype_policy(settings.precision)
    task = load(settings.task, settings.hyperparameters, settings)
    local = evaluation.Evaluation(task, batch_size=settings.batch_size, data_dir=context.env.data_dir)
    record = EvaluationRecord(run_dir=run_dir, early_stopping=settings.early_stopping)
    evaluator = Evaluator(run_dir, local, evaluation.EvalSummaryWriter(run_dir), record)
    log.info("waiting for checkpoints in %s", run_dir.checkpoints)
    while True:
        # Asked first: a checkpoint that is there after DONE is the last one.
        done = monitor.done()
        evaluator.poll()
        if done:
            return f"the run is done: evaluated {evaluator.count} checkpoints, the last one of step {evaluator.seen}"
        time.sleep(_POLL_EVERY)


class Evaluator:
    """Evaluates checkpoints, oldest first, keeps the best one and says when the run should end."""

    def __init__(
        self, run_dir: RunDir, local: Evaluation, summaries: EvalSummaryWriter, record: EvaluationRecord
    ) -> None:
        self._run_dir, self._local, self._summaries, self._record = run_dir, local, summaries, record
        self.seen = record.evaluated
        """Step of the newest checkpoint that was looked at, -1 before the first."""
        self.count = 0
        """How many checkpoints this process has evaluated."""

    def poll(self) -> None:
        """Evaluate the checkpoints that are new.

        Raises:
            ConfigError: early stopping goes by a metric that the task does not have.

        """
        from trainer.storage import checkpoints

        for found in checkpoints.all_complete(self._run_dir.checkpoints):
            if found.step <= self.seen:
                continue
            self.seen = found.step
            try:
                self._local.restore(found)
            except Exception as error:
                if (trouble := _trouble(error)) is None:
                    raise
                log.info("checkpoint %d %s", found.step, trouble)
                continue
            metrics = self._local.run()
            log.info("checkpoint %d: %s", found.step, describe(metrics), extra=fields(step=found.step, **metrics))
            self.count += 1
            try:
                self._record_result(found, metrics)
            except Exception as error:
                if not errors.is_storage_full(error):
                    raise
                log.info("can't write what came out: %s", errors.summary(error))

    def _record_result(self, found: CheckpointRef, metrics: dict[str, float]) -> None:
        """Write what came out, and keep the checkpoint if it is the best so far."""
        from trainer.storage import checkpoints

        record, directory = self._record, self._run_dir.at("best")
        stopped = record.stop
        if record.add(found.step, metrics) and record.best:
            path = checkpoints.keep(found, directory)
            if path is None:
                log.info("checkpoint %d was deleted meanwhile: keeping its weights alone", found.step)
                path = checkpoints.keep_model(self._local.model, found.step, directory)
            record.best["path"] = path
        record.write()
        if record.stop and not stopped:
            log.info("telling the run to end: %s", record.stop["reason"])
        self._summaries.add(found.step, metrics)


def _trouble(error: BaseException) -> str | None:
    """Return why a checkpoint could not be read; None when `error` says something else."""
    from tensorflow.errors import NotFoundError

    from trainer.storage import checkpoints

    if isinstance(error, NotFoundError):
        return "was deleted before it could be evaluated"
    return "is damaged" if isinstance(error, checkpoints.DamagedError) else None
