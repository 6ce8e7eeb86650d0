"""The trial: before step 1, a run does once with one batch what it otherwise does for the first time at its end.

It evaluates a fresh model in the graph of the real evaluation, exports the model, and loads and calls the export. So a
task that cannot be evaluated or exported fails before it is trained.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Final

import numpy as np
import tensorflow as tf

from trainer import embedding
from trainer.engine import additions, batches, export, untracked
from trainer.engine.calling import calling
from trainer.engine.evaluation import Evaluation, results
from trainer.engine.kept import require_kept
from trainer.engine.steps import examples_in
from trainer.runtime.config import EarlyStopping
from trainer.runtime.errors import InvalidTask, Words
from trainer.runtime.logs import log
from trainer.runtime.types import Dataset, Json, Metric, Model, Tensor, Variable
from trainer.storage import files
from trainer.storage.evaluation_record import require_metric

Batch = tuple[Tensor, ...]
_SOME: Final = 2
"""The number of examples that some checks take from a batch, because one may need seconds on a CPU."""
_ROUNDING: Final = 1e-3
_ROUNDING_OF_HALF: Final = 0.05


def run(
    local: Evaluation, *, early_stopping: EarlyStopping | None, export_to: str | None, replicas: int = 1
) -> dict[str, float]:
    """Try the evaluation and the export of a task with a fresh model; return the metrics of one batch.

    Args:
        local: The evaluation of the task, with its fresh model.
        early_stopping: The rule of early stopping, whose metric must exist.
        export_to: The directory to export to, which is deleted afterward. None: the export is not tried.
        replicas: The number of replicas that divide a batch.

    Raises:
        ConfigError: The task does not have the metric of early stopping.
        TaskFailed: A method of the task raises an error.
        InvalidTask: A method of the task returns something invalid.

    """
    started = time.monotonic()
    batch = first_batch(local.dataset)
    # Without held-out data, the checks of the model and of the loss take what they train on.
    metrics = evaluate(local, local.training_batch() if batch is None else batch, replicas)
    if batch is None:
        metrics = {}
    if early_stopping:
        require_metric(early_stopping, metrics)
    if export_to:
        try_export(local, batch, export_to)
    log.info("tried the evaluation%s in %.1f s", " and the export" if export_to else "", time.monotonic() - started)
    return metrics


def first_batch(dataset: Dataset | None) -> Batch | None:
    """Return the first batch of the evaluation split `dataset`, or None if the task has no such split."""
    if dataset is None:
        return None
    with calling('dataset(context, "eval")'), batches.refusals():
        batch: Batch | None = next(iter(dataset), None)
    if batch is None:
        raise InvalidTask(
            'dataset(context, "eval")',
            got=Words("no batch"),
            expected="each example of the evaluation split once",
            fix="Return None if the task has no evaluation data",
        )
    return batch


def evaluate(local: Evaluation, batch: Batch, replicas: int) -> dict[str, float]:
    """Evaluate `batch` several times as a run does; return the metrics, which are those of the batch.

    Raises:
        TaskFailed: A method of the task raises an error.
        InvalidTask: The model or a metric keeps a state where the trainer does not find it.

    """
    existing = untracked.identities(local.model.variables)
    local.step(batch)  # TensorFlow traces the graph here. Python code of the task runs now and never again.
    require_existing(local.model, existing)
    require_tracked(local.model, local.watched)
    require_kept(local, *batch[:2])
    local.reset()
    outputs = [local.step(batch) for _ in range(2)]
    found = local.values()
    _require_equal(local.new_metrics(), batch, outputs, found)
    _require_one_per_example(local, batch, outputs[0])
    if replicas > 1:
        _require_independent(local, batch, outputs[0])
        if _is_dense(batch[0]):
            additions.require_means(local.model, batch[0])
    if _close(*outputs):  # Otherwise the model draws random numbers.
        _require_same_model(local, batch[0])
    return found


def require_existing(model: Model, existing: set[int]) -> None:
    """Refuse variables that the model created when it was called, because they would not be restored.

    Args:
        model: The model, after a call.
        existing: The identities of its variables before the call.

    Raises:
        InvalidTask: The model has a new variable.

    """
    for variable in model.variables:
        if id(variable.value) not in existing:
            raise InvalidTask(
                "model()",
                got=Words(f"a model that creates {variable.path} only when it is called"),
                expected="a model whose variables exist",
                fix="Begin the model with keras.Input, or call it once in model()",
            )


def require_tracked(model: Model, watched: Iterable[Variable]) -> None:
    """Refuse trainable variables that Keras does not find in the model, because they would not be trained.

    Args:
        model: The model.
        watched: The trainable variables that the model and the loss use.

    Raises:
        InvalidTask: One of them is not a variable of the model.

    """
    known = untracked.identities(model.variables)
    known |= {id(piece) for table in embedding.tables(model) for piece in table.pieces}
    for variable in watched:
        if id(variable) not in known:
            raise InvalidTask(
                "model() or loss()",
                got=Words(f"the trainable variable {variable.name}, which is not a variable of the model"),
                expected="variables that Keras tracks and the optimizer trains",
                fix="Create it with add_weight() of a layer, or with trainable=False",
            )


def _require_equal(metrics: list[Metric], batch: Batch, outputs: list[Tensor], found: dict[str, float]) -> None:
    """Refuse metrics that count otherwise in a graph than outside, such as those with a counter in Python.

    Args:
        metrics: New metrics, to be updated outside of a graph.
        batch: The batch of all updates.
        outputs: The outputs of the model for each update.
        found: The values of the metrics in the graph.

    Raises:
        InvalidTask: A value differs.

    """
    _, labels, *weights = batch
    with calling("metrics()"):
        for each in outputs:
            for metric in metrics:
                metric.update_state(labels, each, sample_weight=weights[0] if weights else None)
        expected = results(metrics)
    for name, value in expected.items():
        got = found.get(name, math.nan)
        if not (math.isclose(got, value, rel_tol=1e-3, abs_tol=1e-6) or (math.isnan(got) and math.isnan(value))):
            raise InvalidTask(
                "metrics()",
                got=Words(f"{name} {got:.6g} after two batches in a graph"),
                expected=f"{value:.6g}, its value outside of a graph",
                fix="Keep the state of the metric in add_variable(), and use only TensorFlow or keras.ops in it",
            )


def _require_one_per_example(local: Evaluation, batch: Batch, outputs: Tensor) -> None:
    """Refuse losses with one column per example, which labels `[batch]` minus outputs `[batch, 1]` have.

    Raises:
        InvalidTask: The number of columns is that of the examples, for two sizes of the batch.

    """
    values = batch[1], outputs
    count = examples_in(values)
    if not count or count < _SOME or not _is_dense(values):
        return
    with calling("loss()"):
        found = local.losses(*values), _losses_of_fewer(local, values, count - 1)
    shapes = [each.shape for each in found if each is not None]
    for columns, fewer in zip(shapes[0][1:], shapes[-1][1:], strict=True):
        if (columns, fewer) == (count, count - 1):
            raise InvalidTask(
                "loss()",
                got=Words(f"losses of shape {list(shapes[0])} for {count} examples"),
                expected="one loss per example",
                fix="Give labels and outputs the same shape, or return the mean over the other dimensions",
            )


def _require_independent(local: Evaluation, batch: Batch, outputs: Tensor) -> None:
    """Refuse losses that depend on the other examples of the batch, because each replica has only a part of it.

    Raises:
        InvalidTask: The loss of an example is another one in a smaller batch.

    """
    values = batch[1], outputs
    count = examples_in(values)
    if not count or count < _SOME or not _is_dense(values):
        return
    with calling("loss()"):
        whole, again = (local.losses(*values) for _ in range(2))
        parts = [(_losses_of_fewer(local, values, size), size) for size in {count - 1, max(_SOME, count // 2)}]
    # Otherwise the loss draws random numbers.
    if _close(whole, again) and not all(part is None or _close(part, whole[:size]) for part, size in parts):
        raise InvalidTask(
            "loss()",
            got=Words("losses that depend on the other examples of the batch"),
            expected="losses of single examples, because several replicas divide the batch",
            fix="Divide by a constant instead of a sum over the batch, or set strategy: OneDevice",
        )


def _losses_of_fewer(local: Evaluation, values: tuple[Tensor, Tensor], count: int) -> Tensor | None:
    """Return the losses of the first `count` examples.

    None: The task has no held-out data, whose last batch may be smaller, and its loss takes only whole batches.
    """
    try:
        return local.losses(*_first(values, count))
    except Exception:
        if local.dataset is not None:
            raise
        return None


def _require_same_model(local: Evaluation, features: Tensor) -> None:
    """Refuse a `model()` whose results differ in more than the weights, such as in random constants.

    One model is trained, and another one is evaluated and exported with its weights.

    Raises:
        InvalidTask: The outputs differ for the same weights.

    """
    features = _first(features, _SOME) if _is_dense(features) else features
    with calling("model()"):
        other = local.new_model()
        mine, others = untracked.variables(local.model), untracked.variables(other)
        same = [each.shape for each in mine] == [each.shape for each in others]
        if same:
            for variable, value in zip(others, mine, strict=True):
                variable.assign(value)
            same = _close(*(each(features, training=False) for each in (local.model, other)))
    if not same:
        raise InvalidTask(
            "model()",
            got=Words("two models whose outputs differ with the same weights"),
            expected="the same model at each call",
            fix="Give random constants and adapt() a fixed seed and fixed data, or use add_weight(trainable=False)",
        )


def _is_dense(values: Json) -> bool:
    return all(isinstance(each, tf.Tensor) and each.shape.rank for each in tf.nest.flatten(values))


def _first(values: Json, count: int) -> Json:
    """Return the first `count` examples in `values`."""
    return tf.nest.map_structure(lambda each: each[:count], values)


def _close(one: Json, other: Json) -> bool:
    """Return whether all floating-point numbers in `one` and `other` are equal but for their rounding."""
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        if not (isinstance(a, tf.Tensor) and a.dtype.is_floating):
            continue
        first, second = tf.cast(a, tf.float32).numpy(), tf.cast(b, tf.float32).numpy()
        largest = np.max(np.abs(first), initial=0.0, where=np.isfinite(first))
        rounding = _ROUNDING if a.dtype.size >= tf.float32.size else _ROUNDING_OF_HALF
        if first.shape != second.shape or not np.allclose(first, second, atol=rounding * largest, equal_nan=True):
            return False
    return True


def try_export(local: Evaluation, batch: Batch | None, path: str) -> None:
    """Export the model to the directory `path`, load it, call it with `batch` if it fits, and delete it."""
    signature: list[Json] = local.signature()
    files.remove_tree(path)
    try:
        with calling("the export of the model"):
            require_tracked(local.model, export.write(local.model, signature, path))
            loaded = tf.saved_model.load(path)
            arguments = None if batch is None else export.arguments(signature, batch[0])
            if arguments is not None:
                getattr(loaded, export.ENDPOINT)(*arguments)
    finally:
        files.remove_tree(path)
