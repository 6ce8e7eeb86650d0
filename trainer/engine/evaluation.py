"""The evaluation of a checkpoint: a separate model on this task's device, outside any strategy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import tensorflow as tf

from trainer.engine import batches, export, untracked
from trainer.engine.calling import calling
from trainer.engine.steps import examples_in, per_example, require_built, require_no_mask
from trainer.runtime.errors import InvalidTask, Words
from trainer.runtime.logs import log
from trainer.runtime.types import Dataset, Json, Metric, Model, Tensor, Variable
from trainer.storage.checkpoints import CheckpointRef, restore_model
from trainer.storage.run_dir import RunDir
from trainer.task import DataContext, Task

MOST_BATCHES: Final = 100_000
"""The number of batches after which an evaluation fails if its dataset does not state its length."""
_LOG_EVERY: Final = 60.0
_UNKNOWN: Final = f" of an unknown number; the run fails after {MOST_BATCHES:,}"
LOSS: Final = "loss"
"""The name of the mean loss among the metrics."""


def held_out(task: Task, context: DataContext) -> Dataset | None:
    """Return the evaluation split of `task`, or None if the task has no such split."""
    found: Dataset | None = read_split(task, context, batches.EVAL)
    return found


def read_split(task: Task, context: DataContext, split: str) -> Dataset:
    """Return the checked data of a split of `task`; None if the task has no evaluation split."""
    with calling(f'dataset(context, "{split}")'):
        data = task.dataset(context, split)
        return batches.checked(data, split=split, batch_size=context.batch_size)


class Evaluation:
    """Evaluates checkpoints on the evaluation split of a task."""

    def __init__(self, task: Task, *, batch_size: int, data_dir: str | None) -> None:
        """Build the model, the metrics and the dataset of `task`; batches have at most `batch_size` examples."""
        self._task = task
        self._context = DataContext(batch_size=batch_size, data_dir=data_dir)
        self._tracing = ""
        with calling("model()"):
            self.model = self.new_model()
        self.metrics = self.new_metrics()
        self.dataset = held_out(task, self._context)
        self.watched: tuple[Variable, ...] = ()
        """The trainable variables that the model and the loss used when they were last traced."""
        # float32 would lose the count of examples above 16.7 million.
        self._total = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._examples = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._batch = tf.function(self._evaluate_batch, reduce_retracing=True)

    def restore(self, found: CheckpointRef) -> None:
        """Restore the model's weights from the checkpoint `found`.

        Raises:
            tf.errors.NotFoundError: The checkpoint no longer exists.
            DamagedError: The checkpoint is damaged.

        """
        restore_model(found.path, self.model, **untracked.of_model(self.model))

    def run(self) -> dict[str, float]:
        """Return the mean loss and the metrics over the evaluation split; empty if the task has no such split.

        Raises:
            InvalidTask: The dataset does not state its length and has not ended after `MOST_BATCHES` batches, or a
                metric is not a number.

        """
        if self.dataset is None:
            return {}
        self.reset()
        with batches.refusals():
            for batch in _counted(self.dataset):
                self.step(batch)
        return self.values()

    def reset(self) -> None:
        """Begin a new evaluation."""
        for metric in self.metrics:
            metric.reset_state()
        self._total.assign(0.0)
        self._examples.assign(0.0)

    def step(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Evaluate one batch; return the outputs of the model."""
        with calling(lambda: self._tracing):
            return self._batch(*batch)

    def values(self) -> dict[str, float]:
        """Return the mean loss and the metrics since `reset`."""
        with calling("metrics()"):
            return {**results(self.metrics), LOSS: float(self._total) / max(1.0, float(self._examples))}

    def _evaluate_batch(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        # Assignments to attributes take effect when TensorFlow traces this method, and are not part of the graph.
        with tf.GradientTape() as tape:
            self._tracing = "model()"
            outputs = self.model(features, training=False)
            self._tracing = "loss()"
            losses = self.losses(labels, outputs)
            require_no_mask(losses, outputs)
            losses = per_example(losses, examples_in(features))
        self.watched = tape.watched_variables()
        if weights is not None:
            losses *= tf.cast(weights, losses.dtype)
        self._total.assign_add(tf.cast(tf.reduce_sum(losses), tf.float64))
        self._examples.assign_add(tf.cast(tf.shape(losses)[0], tf.float64))
        self._tracing = "metrics()"
        for metric in self.metrics:
            metric.update_state(labels, outputs, sample_weight=weights)
        self._tracing = "the evaluation of a batch"
        return outputs

    def training_batch(self) -> tuple[Tensor, ...]:
        """Return the first batch of the training data, for the trial of a task without held-out data."""
        with calling('dataset(context, "train")'), batches.refusals():
            found: tuple[Tensor, ...] = next(iter(read_split(self._task, self._context, batches.TRAIN)))
        return found

    def new_model(self) -> Model:
        """Return a new model of the task."""
        return require_built(self._task.model())

    def losses(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return what the loss of the task returns."""
        return self._task.loss(labels, outputs)

    def new_metrics(self) -> list[Metric]:
        """Return new metrics of the task."""
        with calling("metrics()"):
            return self._task.metrics()

    def signature(self) -> list[Json]:
        """Return the input signature of the exported model."""
        with calling('dataset(context, "train")'):
            data: Dataset = self.dataset or self._task.dataset(self._context, batches.TRAIN)
            features = data.element_spec[0]
        with calling("signature()"):
            return export.signature_of(self.model, self._task.signature(), features)


def results(metrics: Iterable[Metric]) -> dict[str, float]:
    """Return the value of each of `metrics` by its name. As in Keras, a metric may have several named values.

    Raises:
        InvalidTask: A metric is not a number, or two values have the same name.

    """
    found: dict[str, float] = {}
    for metric in metrics:
        result = metric.result()
        named = result if isinstance(result, Mapping) else {metric.name: result}
        for name, value in named.items():
            number = np.asarray(value)
            if number.size != 1:
                raise InvalidTask(
                    "metrics()",
                    got=Words(f"the metric {name!r} of shape {list(number.shape)}"),
                    expected="a number, or a mapping of names to numbers",
                    fix="Average its values, as the option average of some Keras metrics does",
                )
            if name in (*found, LOSS):
                raise InvalidTask(
                    "metrics()",
                    got=Words(f"two values with the name {name!r}"),
                    expected="one value per name; the trainer adds the loss",
                    fix="Rename one of the metrics",
                )
            found[name] = float(number.reshape(()))
    return found


def _counted(dataset: Dataset) -> Iterator[tuple[Tensor, ...]]:
    """Yield the batches of `dataset`, log their number every minute, and fail if it does not seem to end."""
    unknown = int(dataset.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    log_at = time.monotonic() + _LOG_EVERY
    for number, batch in enumerate(dataset):
        if unknown and number >= MOST_BATCHES:
            raise InvalidTask(
                'dataset(context, "eval")',
                got=Words(f"{number:,} batches and no end"),
                expected=f"at most {MOST_BATCHES:,} batches from a dataset of unknown length",
                fix="Remove repeat(), or set the length with tf.data.experimental.assert_cardinality()",
            )
        if time.monotonic() >= log_at:
            log_at = time.monotonic() + _LOG_EVERY
            log.info("evaluation: %d batches so far%s", number, _UNKNOWN if unknown else "")
        yield batch


class EvalSummaryWriter:
    """Writes the metrics of evaluations to logs/eval, for TensorBoard."""

    def __init__(self, run_dir: RunDir) -> None:
        self._writer = tf.summary.create_file_writer(run_dir.at("logs", "eval"))

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Write the value of each metric at `step`."""
        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                tf.summary.scalar(name, value)
            self._writer.flush()
