"""The progress of a training: log lines, TensorBoard points and status.json."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import tensorflow as tf
from tensorflow.compat.v1 import Event, SessionLog

from trainer.engine.input_wait import InputWait
from trainer.engine.profiler import Profile
from trainer.engine.steps import TrainState
from trainer.runtime import errors
from trainer.runtime.config import RunRecord, Scalar
from trainer.runtime.logs import fields, log, number
from trainer.runtime.types import Tensor
from trainer.storage import files
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status

_STATUS_EVERY: Final = 1.0
_LOG_EVERY: Final = 2.0


def _number(value: Tensor) -> float:
    """Return a scalar variable as a number, even if the strategy keeps a copy per replica."""
    return float(tf.convert_to_tensor(value).numpy())


class Rate:
    """Steps per second, recent and overall, without the first segment, which mostly traces the graph."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: list[tuple[float, int]] = []

    def add(self, step: int) -> None:
        """Record the current time as the time at which `step` ended."""
        self._marks.append((self._clock(), step))
        while len(self._marks) > 3 and self._marks[-1][0] - self._marks[2][0] > 10:  # noqa: PLR2004
            del self._marks[1]

    def _between(self, first: int) -> float | None:
        if len(self._marks) <= first + 1:
            return None
        (t0, s0), (t1, s1) = self._marks[first], self._marks[-1]
        return (s1 - s0) / (t1 - t0) if t1 > t0 else None

    @property
    def recent(self) -> float | None:
        """Steps per second over about the last ten seconds; None until two segments have ended."""
        return self._between(1) or self._between(0)

    @property
    def overall(self) -> float | None:
        """Steps per second since the end of the first segment; None until two segments have ended."""
        return self._between(0)


class Progress:
    """Reports the training of this task; a task that does not write the run directory only logs."""

    def __init__(
        self,
        *,
        record: RunRecord,
        run_dir: RunDir,
        state: TrainState,
        status: Status | None,
        hyperparameters: Mapping[str, Scalar],
        tasks: int = 1,
        waited: Callable[[], tuple[float, float]],
        traced: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare the reports of a training.

        Args:
            record: The run record.
            run_dir: The run directory.
            state: The model, the optimizer and the step.
            status: The content of status.json; None in tasks that do not write the run directory.
            hyperparameters: The hyperparameters of the `Task` class.
            tasks: The number of tasks in the training loop.
            waited: Returns the seconds of waiting for data and all seconds of the last segment.
            traced: Called after the first segment.

        """
        self._waited = waited
        self._input_wait = InputWait()
        self._settings = record.trainer
        self._hyperparameters, self._tasks, self._traced = hyperparameters, tasks, traced
        self._run_dir = run_dir
        self._profile = Profile(run_dir.at("logs", "train"), record.trainer.profile_steps if status else 0)
        self._status = status
        self._state = state
        self.rate = Rate()
        self._log_at = self._status_at = 0.0
        self._loss: float | None = None
        self._first = True
        if status:
            _mark_start(run_dir.at("logs", "train"), int(_number(state.step)))
        self._writer = tf.summary.create_file_writer(run_dir.at("logs", "train")) if status else None
        self._record = record

    def begin(self, step: int) -> None:
        """Report the first step.

        At step 0, also write the run record, the model's graph and the hyperparameters for TensorBoard.
        """
        steps = self._settings.steps
        log.info("training from step %d to %d, batch size %d", step, steps, self._settings.batch_size)
        if self._status:
            self._status.update(state="running", step=step, message="")
        if self._writer and step == 0:
            with _storage_may_fail(), self._writer.as_default(step=0):
                text = json.dumps(self._record.raw, indent=2).replace("\n", "\n    ")
                tf.summary.text("run record", f"    {text}")
                self._write_graph()
                self._write_hyperparameters()
                self._writer.flush()

    def _write_hyperparameters(self) -> None:
        """Write the hyperparameters to logs/.

        TensorBoard combines them with the metrics in the directories below, those of training and of evaluation.
        """
        try:
            from tensorboard.plugins.hparams import api
        except ImportError:
            log.info("no hyperparameters in TensorBoard: the tensorboard package is not installed")
            return
        settings = self._settings
        values = {
            "strategy": self._record.strategy,
            "batchSize": settings.batch_size,
            "seed": settings.seed,
            "precision": settings.precision,
            **self._hyperparameters,
        }
        writer = tf.summary.create_file_writer(self._run_dir.at("logs"))
        with writer.as_default(step=0):
            api.hparams(values, trial_id=self._record.run)
        writer.close()

    def _write_graph(self) -> None:
        model = self._state.model
        try:
            inputs = [tf.TensorSpec(each.shape, each.dtype) for each in model.inputs]
            function = tf.function(lambda *args: model(args[0] if len(args) == 1 else list(args), training=False))
            tf.summary.graph(function.get_concrete_function(*inputs).graph)
        except Exception as error:  # noqa: BLE001, RUF100 - the code of a task may raise any error, and the run trains
            log.info("no graph in TensorBoard: %s", errors.summary(error))

    def segment(self, before: int, step: int, loss: float | None) -> None:
        """Report a segment that ran from step `before` to `step` with the mean loss `loss`; None if it is unknown."""
        if self._first:
            self._first = False
            self._traced()
        self._profile.segment(step)
        self.rate.add(step)
        self._input_wait.add(*self._waited())
        self._loss = loss if loss is not None else self._loss
        every, steps = self._settings.summary_every, self._settings.steps
        if before // every < step // every or step >= steps:
            self._write_summary(step)
        now, last = time.monotonic(), step >= steps
        if now >= self._log_at or last:
            self._log_at = now + _LOG_EVERY
            loss_text = "-" if self._loss is None else number(self._loss)
            details = fields(**{**self._fields(step), "steps": steps})
            log.info("step %d/%d loss %s %.1f steps/s", step, steps, loss_text, self.rate.recent or 0.0, extra=details)
        self._input_wait.warn()
        if self._status:
            self._status.note(**self._fields(step), inputWaitShare=self._input_wait_share())
            if now >= self._status_at or last:
                self._status_at = now + _STATUS_EVERY
                self._status.update()

    def room(self, step: int) -> int:
        """Return the maximum number of steps of a segment that starts at `step`."""
        return self._profile.room(step)

    def end(self) -> None:
        """Report that the training has ended."""
        self._profile.stop()

    def _fields(self, step: int) -> dict[str, float | None]:
        rate = self.rate.recent
        return {
            "step": step,
            "loss": self._loss,
            "lossIsNotANumber": self._loss is not None and not math.isfinite(self._loss),
            "stepsPerSecond": rate and round(rate, 3),
            "examplesPerSecond": rate and round(rate * self._settings.batch_size, 1),
            "etaSeconds": rate and round(max(0, self._settings.steps - step) / rate, 1),
        }

    def _input_wait_share(self) -> float | None:
        share = self._input_wait.share()
        return share if share is None else round(share, 3)

    def _workers_there(self) -> int | None:
        """Return the number of workers that take part in an elastic run, and None in another run."""
        workers = self._status["workers"] if self._status else None
        return int(workers["there"]) if workers else None

    def _write_summary(self, step: int) -> None:
        if not self._writer:
            return
        there = self._workers_there()
        with _storage_may_fail(), self._writer.as_default(step=step):
            if self._loss is not None:
                tf.summary.scalar("loss", self._loss)
            if hasattr(self._state.optimizer, "learning_rate"):  # MultiOptimizer has one per optimizer that it wraps.
                tf.summary.scalar("learning_rate", _number(self._state.optimizer.learning_rate))
            if rate := self.rate.recent:
                tf.summary.scalar("steps_per_second", rate)
                tf.summary.scalar("step_time", 1 / rate, description="seconds")
                examples = rate * self._settings.batch_size
                tf.summary.scalar("examples_per_second", examples)
                tf.summary.scalar("examples_per_second_per_task", examples / (there or self._tasks))
            if there is not None:
                tf.summary.scalar("workers", there)
            if (share := self._input_wait_share()) is not None:
                tf.summary.scalar("input_wait", share, description="share of the time that steps wait for data")
            self._writer.flush()


def _mark_start(directory: str, step: int) -> None:
    """Write that a process trains from `step`: TensorBoard then drops the points of later steps of earlier processes.

    The first mark of a run drops nothing. The name of this file comes before those of the summary writer, because
    TensorBoard reads files in the order of their names.
    """
    path = files.join(directory, f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}")
    start = Event(wall_time=time.time(), step=step + 1 if step else 0, session_log=SessionLog(status=SessionLog.START))
    with _storage_may_fail():
        files.make_directory(directory)
        with tf.io.TFRecordWriter(path) as writer:
            for event in (Event(wall_time=time.time(), file_version="brain.Event:2"), start):
                writer.write(event.SerializeToString())


@contextmanager
def _storage_may_fail() -> Iterator[None]:
    """Log an error of writing TensorBoard's summaries, so that it does not end the training."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        log.info("cannot write for TensorBoard: %s", str(error).partition("\n")[0])
