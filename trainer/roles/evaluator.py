"""The evaluator: a task that evaluates every new checkpoint until the run ends."""

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
from trainer.storage import retry
from trainer.storage.evaluation_record import EvaluationRecord
from trainer.storage.run_dir import RunDir

if TYPE_CHECKING:  # these two import TensorFlow
    from trainer.engine.evaluation import EvalSummaryWriter, Evaluation
    from trainer.storage.checkpoints import CheckpointRef

_POLL_EVERY: Final = 1.0


@dataclass(slots=True, kw_only=True)
class RunMonitor:
    """Reads the state of the run from the run directory. Timeouts are in seconds."""

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
        """Return whether the run is done.

        Raises:
            TrainerExit: The run failed.
            GaveUp: status.json did not change within the timeout.

        """
        if self.run_dir.done() is not None:
            return True
        status = self.run_dir.read_status()
        if status != self._last:
            self._last, self._changed = status, self.clock()
        # A failure that status.json contained at the start belongs to an earlier attempt.
        if status and status.get("state") == "failed" and status != self._first:
            code = int(status.get("exitCode") or exit_codes.FAILED)
            raise errors.from_code(code, f"the run failed: {status.get('message')}")
        began = status != self._first
        patience = self.orphan_timeout if began else max(self.start_timeout, self.orphan_timeout)
        if (idle := self.clock() - self._changed) >= patience:
            raise GaveUp(f"status.json has not changed for {idle:.0f} s: the chief is unreachable")
        return False


def run(context: Context) -> str:
    """Evaluate every new checkpoint; return the exit message when the run is done.

    Raises:
        TrainerExit: The run failed, or the chief is unreachable.

    """
    import keras

    from trainer.engine import evaluation, trial
    from trainer.task import load

    settings, run_dir = context.record.trainer, context.run_dir
    monitor = RunMonitor(
        run_dir=run_dir,
        start_timeout=context.env.start_timeout,
        orphan_timeout=context.env.orphan_timeout,
    )
    keras.config.set_dtype_policy(settings.precision)
    task = load(settings.task, settings.hyperparameters, settings)
    _wait_for_replicas(monitor, run_dir)
    local = evaluation.Evaluation(task, batch_size=context.replica_batch_size, data_dir=context.env.data_dir)
    retry.call(lambda: trial.run(local, early_stopping=settings.early_stopping, export_to=None), "the trial")
    record = EvaluationRecord(run_dir=run_dir, early_stopping=settings.early_stopping)
    evaluator = Evaluator(run_dir, local, evaluation.EvalSummaryWriter(run_dir), record)
    log.info("waiting for checkpoints in %s", run_dir.checkpoints)
    while True:
        # This check must come before the poll: after DONE, the poll sees the last checkpoint too.
        done = monitor.done()
        evaluator.poll()
        if done:
            return f"the run is done (checkpoints evaluated: {evaluator.count}; last step: {evaluator.seen})"
        time.sleep(_POLL_EVERY)


def _wait_for_replicas(monitor: RunMonitor, run_dir: RunDir) -> None:
    """Wait until the chief has written the number of replicas, because a batch must be one replica's part.

    The chief writes the number, because the other tasks may have more GPUs than the evaluator.
    """
    while not monitor.done() and not (run_dir.read_status() or {}).get("replicas"):
        time.sleep(_POLL_EVERY)


class Evaluator:
    """Evaluates checkpoints in the order of their steps, keeps the best one and requests early stopping."""

    def __init__(
        self, run_dir: RunDir, local: Evaluation, summaries: EvalSummaryWriter, record: EvaluationRecord
    ) -> None:
        self._run_dir, self._local, self._summaries, self._record = run_dir, local, summaries, record
        self.seen = record.evaluated
        """The step of the newest checkpoint that was processed; -1 before the first."""
        self.count = 0
        """The number of checkpoints that this process evaluated."""

    def poll(self) -> None:
        """Evaluate all new checkpoints.

        Raises:
            ConfigError: The metric for early stopping does not exist in the task.

        """
        from trainer.storage import checkpoints

        for found in checkpoints.all_complete(self._run_dir.checkpoints):
            if found.step <= self.seen:
                continue
            self.seen = found.step
            try:
                self._local.restore(found)
            except Exception as error:
                if (reason := _unreadable(error)) is None:
                    raise
                log.info("checkpoint %d %s", found.step, reason)
                continue
            metrics = retry.call(self._local.run, f"evaluating checkpoint {found.step}")
            log.info("checkpoint %d: %s", found.step, describe(metrics), extra=fields(step=found.step, **metrics))
            self.count += 1
            try:
                self._record_result(found, metrics)
            except Exception as error:
                if not errors.is_storage_full(error) and not errors.is_storage_failure(error):
                    raise
                log.info("cannot write the evaluation: %s", errors.summary(error))

    def _record_result(self, found: CheckpointRef, metrics: dict[str, float]) -> None:
        """Write the metrics, and keep the checkpoint if it is the best so far."""
        from trainer.engine import untracked
        from trainer.storage import checkpoints

        record, directory = self._record, self._run_dir.at("best")
        stopped = record.stop
        if record.add(found.step, metrics) and record.best:
            path = checkpoints.keep(found, directory)
            if path is None:
                log.info("checkpoint %d was deleted during its evaluation: keeping only its weights", found.step)
                model = self._local.model
                path = checkpoints.keep_model(model, found.step, directory, **untracked.of_model(model))
            record.best["path"] = path
        record.write()
        if record.stop and not stopped:
            log.info("early stopping: %s", record.stop["reason"])
        self._summaries.add(found.step, metrics)


def _unreadable(error: BaseException) -> str | None:
    """Return the reason why a checkpoint could not be read; None if `error` has another cause."""
    from tensorflow.errors import NotFoundError

    from trainer.storage import checkpoints

    if isinstance(error, NotFoundError):
        return "was deleted before it could be evaluated"
    return "is damaged" if isinstance(error, checkpoints.DamagedError) else None
