"""Evaluation and export of a checkpoint: a separate model on this task's device, outside any strategy."""

from __future__ import annotations

import time

import tensorflow as tf

from trainer.engine.steps import per_example
from trainer.runtime.logs import log
from trainer.runtime.types import Model, Tensor
from trainer.storage import files
from trainer.storage.checkpoints import CheckpointRef, restore_model
from trainer.storage.run_dir import RunDir
from trainer.task import DataContext, Task


class Evaluation:
    """Evaluates checkpoints on the evaluation split of a task."""

    def __init__(self, task: Task, *, batch_size: int, data_dir: str | None) -> None:
        self._task = task
        self.model: Model = task.model()
        self._metrics = task.metrics()
        self._dataset = task.dataset(DataContext(batch_size=batch_size, data_dir=data_dir), "eval")
        self._total = tf.Variable(0.0)
        self._examples = tf.Variable(0.0)
        self._batch = tf.function(self._evaluate_batch, reduce_retracing=True)

    def restore(self, found: CheckpointRef) -> None:
        """Restore the model's weights from the checkpoint `found`.

        Raises:
            tf.errors.NotFoundError: The checkpoint no longer exists.
            DamagedError: The checkpoint is damaged.

        """
        restore_model(found.path, self.model)

    def run(self) -> dict[str, float]:
        """Return the mean loss and the metrics over the evaluation split; empty if the task has no such split."""
        if self._dataset is None:
            return {}
        for metric in self._metrics:
            metric.reset_state()
        self._total.assign(0.0)
        self._examples.assign(0.0)
        for batch in self._dataset:
            self._batch(*batch)
        values = {metric.name: float(metric.result()) for metric in self._metrics}
        values["loss"] = float(self._total) / max(1.0, float(self._examples))
        return {name: round(value, 6) for name, value in values.items()}

    def _evaluate_batch(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        outputs = self.model(features, training=False)
        losses = per_example(self._task.loss(labels, outputs))
        if weights is not None:
            losses *= tf.cast(weights, losses.dtype)
        self._total.assign_add(tf.reduce_sum(losses))
        self._examples.assign_add(tf.cast(tf.shape(losses)[0], tf.float32))
        for metric in self._metrics:
            metric.update_state(labels, outputs, sample_weight=weights)


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


def export(run_dir: RunDir, task: Task, model: Model) -> str:
    """Export the model as a SavedModel to export/ in the run directory; return its path.

    The export is written to export.tmp/ and then renamed. So export/ is complete if it exists.
    """
    started = time.monotonic()
    target, temporary = run_dir.at("export"), run_dir.at("export.tmp")
    files.remove_tree(temporary)
    signature = task.signature()
    options = {} if signature is None else {"input_signature": signature}
    model.export(temporary, verbose=False, **options)
    files.replace_tree(temporary, target)
    log.info("exported the model in %.1f s: %s", time.monotonic() - started, target)
    return target
