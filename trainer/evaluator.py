"""The evaluator: a task of its own that evaluates every new checkpoint until the run has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from trainer import exits
from trainer.context import Context
from trainer.exits import ConfigError, GaveUp, TaskFailed
from trainer.logs import log
from trainer.rundir import RunDir
from trainer.types import Json

_POLL_EVERY: Final = 1.0


@dataclass(slots=True, kw_only=True)
class RunWatch:
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
            code = int(status.get("exitCode") or exits.FAILED)
            cls = {exits.BAD_CONFIG: ConfigError, exits.GAVE_UP: GaveUp}.get(code, TaskFailed)
            raise cls(f"the run failed: {status.get('message')}")
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
    import tensorflow as tf

    from trainer import checkpoints, evaluation
    from trainer.task import load

    settings, run_dir = context.record.trainer, context.run_dir
    watch = RunWatch(
        run_dir=run_dir,
        start_timeout=context.settings.start_timeout,
        orphan_timeout=context.settings.orphan_timeout,
    )
    keras.config.set_dtype_policy(settings.precision)
    task = load(settings.task, settings.hyperparameters)
    local = evaluation.Evaluation(task, batch_size=settings.batch_size, data_dir=context.settings.data_dir)
    log.info("waiting for checkpoints in %s", run_dir.checkpoints)
    seen, count = -1, 0
    while True:
        # Asked first: a checkpoint that is there after DONE is the last one.
        done = watch.done()
        for found in checkpoints.all_complete(run_dir.checkpoints):
            if found.step <= seen:
                continue
            seen = found.step
            try:
                local.restore(found)
            except tf.errors.NotFoundError:
                log.info("checkpoint %d was deleted before it could be evaluated", found.step)
                continue
            metrics = local.run()
            evaluation.write_summary(run_dir, found.step, metrics)
            log.info("checkpoint %d: %s", found.step, evaluation.describe(metrics))
            count += 1
        if done:
            return f"the run is done: evaluated {count} checkpoints, the last one of step {seen}"
        time.sleep(_POLL_EVERY)
