"""Test a task on one device, and print a description of the task or its first error.

The command calls every method of the task as the trainer does. It runs one training step and then measures the time of
further steps. An error is one line with the name of the method. The exit code is 2 for an invalid argument and 1 for an
error in the task.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from trainer.runtime import errors, exit_codes, logs, threads
from trainer.runtime.arguments import ArgumentParser
from trainer.runtime.config import PRECISIONS, Scalar, TrainerConfig
from trainer.runtime.errors import ConfigError, TaskFailed, TrainerExit
from trainer.runtime.types import Dataset, Json, Model, Tensor

if TYPE_CHECKING:  # these import TensorFlow
    from trainer.engine.steps import TrainState
    from trainer.task import DataContext, Task

_TIMED_STEPS: Final = 5
_TIMED_SECONDS: Final = 10.0
_PAIR, _TRIPLE = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The description of a task. Shapes include the batch dimension, memory is in bytes, times are in seconds."""

    task: str
    batchSize: int  # noqa: N815, RUF100 - keys of the JSON are written as in status.json
    precision: str
    parameters: int
    trainableParameters: int  # noqa: N815, RUF100
    tables: dict[str, list[int]]
    inputs: Json
    labels: Json
    outputs: Json
    loss: float
    metrics: dict[str, float]
    multiplyAddsPerExample: int | None  # noqa: N815, RUF100
    flopsPerExample: int | None  # noqa: N815, RUF100
    firstStepSeconds: float  # noqa: N815, RUF100
    secondsPerStep: float  # noqa: N815, RUF100
    peakMemoryBytes: int  # noqa: N815, RUF100
    peakMemoryOf: str  # noqa: N815, RUF100


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m trainer check", description=__doc__, allow_abbrev=False)
    parser.add_argument("task", help="a built-in task, or package.module:Class")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="examples per step (8)")
    parser.add_argument(
        "--steps", type=int, default=1000, metavar="N", help="same as trainer.steps, for schedules (1000)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a hyperparameter")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="same as trainer.precision")
    parser.add_argument("--jit-compile", action="store_true", help="same as trainer.jitCompile")
    parser.add_argument("--data-dir", metavar="DIR", help="same as DATA_DIR in a run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command with the arguments `words`, print the result, and return the exit code."""
    env = threads.environment()
    logs.configure("check")
    try:
        args = _parser().parse_args(words)
        for option, number in (("--batch-size", args.batch_size), ("--steps", args.steps)):
            if number < 1:
                raise ConfigError(option, got=number, expected="1 or more", fix=f"Set {option} 8, for example")
        settings = TrainerConfig(
            task=args.task,
            steps=args.steps,
            batch_size=args.batch_size,
            precision=args.precision,
            jit_compile=args.jit_compile,
            hyperparameters=dict(_assignment(text) for text in args.set),
        )
        report = check(settings, args.data_dir or env.get("DATA_DIR") or None)
    except TrainerExit as error:
        if "args" in locals() and args.json:
            sys.stdout.write(json.dumps({"error": str(error), "exitCode": error.code}) + "\n")
        sys.stderr.write(f"{error}\n")
        return error.code
    sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n" if args.json else describe(report))
    return exit_codes.DONE


def _assignment(text: str) -> tuple[str, Scalar]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError("--set", got=text, expected="NAME=VALUE", fix="Set for example --set learning_rate=0.01")
    if value in ("true", "false"):
        return name, value == "true"
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value


@contextmanager
def _calling(method: str) -> Iterator[None]:
    """Raise `TaskFailed` with the name of `method` for any error of the task within the block."""
    try:
        yield
    except TrainerExit:
        raise
    except Exception as error:
        raise TaskFailed(f"{method}: {errors.summary(error)}") from error


def check(settings: TrainerConfig, data_dir: str | None) -> Report:
    """Test the task in `settings` on one device and return its description.

    Args:
        settings: The `trainer` block, with the task and its hyperparameters.
        data_dir: The directory of the task's data, or None.

    Raises:
        ConfigError: the task does not exist, or a setting is invalid.
        TaskFailed: a method of the task raises an error or returns an invalid value.

    """
    import keras

    from trainer import embedding
    from trainer.engine import steps
    from trainer.engine import strategy as strategies
    from trainer.task import DataContext, load

    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    with _calling(settings.task):
        task = load(settings.task, settings.hyperparameters, settings)
    context = DataContext(batch_size=settings.batch_size, seed=settings.seed, data_dir=data_dir)
    dataset = _dataset(task, context, "train")
    strategy = strategies.make("OneDevice")
    with _calling("model() or optimizer()"):
        state = steps.build(task, strategy, settings)
    outputs = _outputs(task, state.model, dataset.element_spec)
    loss, first, rest = _steps(task, state, settings, dataset)
    metrics = _evaluate(task, state.model, context)
    parameters, trainable = count(state.model)
    peak, of = _peak_memory()
    return Report(
        task=settings.task,
        batchSize=settings.batch_size,
        precision=settings.precision,
        parameters=parameters,
        trainableParameters=trainable,
        tables={table.name: [table.rows, table.width] for table in embedding.tables(state.model)},
        inputs=_shapes(dataset.element_spec[0], settings.batch_size),
        labels=_shapes(dataset.element_spec[1], settings.batch_size),
        outputs=_shapes(outputs, settings.batch_size),
        loss=loss,
        metrics=metrics,
        multiplyAddsPerExample=_or_none(lambda: multiply_adds(state.model, dataset.element_spec[0])),
        flopsPerExample=_or_none(lambda: flops(state.model, dataset.element_spec[0])),
        firstStepSeconds=round(first, 3),
        secondsPerStep=round(rest, 6),
        peakMemoryBytes=peak,
        peakMemoryOf=of,
    )


def _dataset(task: Task, context: DataContext, split: str) -> Dataset:
    """Return the task's dataset of `split`, after a check of its element spec."""
    import tensorflow as tf

    with _calling(f'dataset(context, "{split}")'):
        dataset = task.dataset(context, split)
        if dataset is None and split == "eval":
            return None
        if not isinstance(dataset, tf.data.Dataset):
            raise ValueError(f"returned {type(dataset).__name__}: it must return a tf.data.Dataset")
        spec = dataset.element_spec
        if not isinstance(spec, tuple) or len(spec) not in (_PAIR, _TRIPLE):
            raise ValueError(
                f"yields {spec}: each element must be a tuple (features, labels) or (features, labels, weights)"
            )
        for each in tf.nest.flatten(spec):
            size = each.shape[0] if each.shape.rank else None
            if each.shape.rank == 0 or (split == "train" and size not in (None, context.batch_size)):
                raise ValueError(
                    f"yields {each}: the first dimension must be the batch, of context.batch_size examples "
                    f"({context.batch_size}). End it with .batch(context.batch_size, drop_remainder=True)"
                )
    return dataset


def _outputs(task: Task, model: Model, spec: Json) -> Tensor:
    """Return the specs of the model's outputs, after a check that model and loss accept the data."""
    import tensorflow as tf

    from trainer.engine import steps

    with _calling(f"model() called with features {_shapes(spec[0])}"):
        outputs = tf.function(lambda features: model(features, training=True)).get_concrete_function(spec[0])
    with _calling(f"loss(labels {_shapes(spec[1])}, outputs {_shapes(outputs.structured_outputs)})"):
        losses = tf.function(lambda *args: steps.per_example(task.loss(*args))).get_concrete_function(
            spec[1], outputs.structured_outputs
        )
        batch = tf.nest.flatten(spec[0])[0].shape[0]
        if (found := losses.structured_outputs.shape[0]) is not None and batch is not None and found != batch:
            raise ValueError(f"returned {found} losses for {batch} examples: it must return one loss per example")
    return outputs.structured_outputs


def _steps(task: Task, state: TrainState, settings: TrainerConfig, dataset: Dataset) -> tuple[float, float, float]:
    """Return the loss of the first step, its seconds, and the median seconds of further steps."""
    import tensorflow as tf

    from trainer.engine import steps

    step = tf.function(
        steps.replica_step(task, state, global_batch=settings.batch_size, replicas=1, jit_compile=settings.jit_compile)
    )
    with _calling('dataset(context, "train")'):
        iterator = iter(dataset)
        batch = next(iterator, None)
        if batch is None:
            raise ValueError("is empty: it must repeat indefinitely. End it with repeat()")
        size = tf.nest.flatten(batch)[0].shape[0]
        if size != settings.batch_size:
            raise ValueError(f"yields batches of {size} examples: expected context.batch_size, {settings.batch_size}")
    with _calling("a step"):
        start = time.monotonic()
        loss = float(step(batch))
        first = time.monotonic() - start
        times: list[float] = []
        while len(times) < _TIMED_STEPS and sum(times) < _TIMED_SECONDS:
            start = time.monotonic()
            float(step(batch))
            times.append(time.monotonic() - start)
    if loss != loss or loss in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        raise TaskFailed(
            f"loss(): the first step's loss is {loss}. Look for log(0), 0/0 or features that are not scaled"
        )
    return loss, first, statistics.median(times)


def _evaluate(task: Task, model: Model, context: DataContext) -> dict[str, float]:
    """Return the metrics of one evaluation batch."""
    dataset = _dataset(task, context, "eval")
    with _calling("metrics()"):
        metrics = task.metrics()
    if dataset is None:
        return {}
    with _calling('dataset(context, "eval")'):
        batch = next(iter(dataset), None)
        if batch is None:
            raise ValueError("is empty: return None if the task has no evaluation data")
    with _calling("metrics()"):
        features, labels, *weights = batch
        outputs = model(features, training=False)
        for metric in metrics:
            metric.update_state(labels, outputs, sample_weight=weights[0] if weights else None)
        return {metric.name: round(float(metric.result()), 6) for metric in metrics}


def count(model: Model) -> tuple[int, int]:
    """Return the numbers of all and of the trainable parameters. Both include the embedding tables."""
    from trainer import embedding

    tables = sum(table.rows * table.width for table in embedding.tables(model))
    trainable = sum(_size(each.shape) for each in model.trainable_weights)
    return model.count_params() + tables, trainable + tables


def _size(shape: Sequence[int]) -> int:
    size = 1
    for each in shape:
        size *= int(each)
    return size


def _graph(model: Model, features: Json) -> Json:
    """Return the concrete function of the model for one example."""
    import tensorflow as tf

    one = tf.nest.map_structure(lambda each: tf.TensorSpec([1, *each.shape[1:]], each.dtype), features)
    return tf.function(lambda batch: model(batch, training=False)).get_concrete_function(one)


def _operations(function: Json) -> Iterator[Json]:
    """Yield every operation of `function` and of the nested functions in its graph."""
    graph = function.graph
    yield from graph.get_operations()
    for name in graph._functions:
        inner = graph._get_function(name)
        yield from getattr(inner, "graph", graph).get_operations() if hasattr(inner, "graph") else ()


def multiply_adds(model: Model, features: Json) -> int:
    """Return the number of multiply-adds in all convolutions and matrix products for one example.

    Args:
        model: The model, of which the forward pass is counted.
        features: The specs of its features, `[batch, ...]`.

    """
    total = 0
    for operation in _operations(_graph(model, features)):
        match operation.type:
            case "Conv2D" | "Conv3D":
                kernel, out = operation.inputs[1].shape, operation.outputs[0].shape
                total += _size(out) * _size(kernel[:-1])
            case "DepthwiseConv2dNative":
                kernel, out = operation.inputs[1].shape, operation.outputs[0].shape
                total += _size(out) * _size(kernel[:2])
            case "MatMul":
                rows = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
                total += _size(operation.outputs[0].shape) * int(rows)
            case "BatchMatMulV2":
                depth = operation.inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]
                total += _size(operation.outputs[0].shape) * int(depth)
            case _:
                pass
    return total


def flops(model: Model, features: Json) -> int:
    """Return the number of floating-point operations in the forward pass of one example.

    TensorFlow's profiler counts them.

    Args:
        model: The model.
        features: The specs of its features, `[batch, ...]`.

    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(_graph(model, features))
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    tf.get_logger().setLevel("ERROR")  # The profiler warns about a deprecated function in its own code.
    found = profiler.profile(frozen.graph, options=options.with_empty_output().build())
    return int(found.total_float_ops)


def _or_none(count_them: Callable[[], int]) -> int | None:
    """Return the count, or None if the model contains something uncountable, such as an unknown shape."""
    try:
        return count_them()
    except Exception as error:  # noqa: BLE001, RUF100 - a missing count is not an error of the task
        logs.log.info("not counted: %s", errors.summary(error))
        return None


def _peak_memory() -> tuple[int, str]:
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]), "GPU"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "process"


def _shape(spec: Json, batch: int | None = None) -> str:
    """Return dtype and shape of `spec` as text, such as `float32 [8, 10]`."""
    sizes = list(spec.shape)
    if sizes and sizes[0] is None and batch:
        sizes[0] = batch
    return f"{spec.dtype.name} [{', '.join('?' if size is None else str(size) for size in sizes)}]"


def _shapes(specs: Json, batch: int | None = None) -> Json:
    import tensorflow as tf

    return tf.nest.map_structure(lambda each: _shape(each, batch), specs)


def describe(report: Report) -> str:
    """Return the report as text."""

    def large(value: float | None, unit: str = "") -> str:
        if value is None:
            return "not counted"
        for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= size:
                return f"{value / size:.2f} {letter}{unit}"
        return f"{value:.0f} {unit}".rstrip()

    lines = {
        "task": f"{report.task}, batch size {report.batchSize}, {report.precision}",
        "parameters": f"{report.parameters:,}, trainable {report.trainableParameters:,}",
        "tables": ", ".join(f"{name} {rows:,} x {width}" for name, (rows, width) in report.tables.items()),
        "inputs": str(report.inputs),
        "labels": str(report.labels),
        "outputs": str(report.outputs),
        "loss": f"{report.loss:.4f} in the first step",
        "metrics": ", ".join(f"{name} {value:.4f}" for name, value in report.metrics.items()) or "none",
        "multiply-adds": f"{large(report.multiplyAddsPerExample)} per example, forward (convolutions, matrix products)",
        "FLOPs": f"{large(report.flopsPerExample)} per example, forward (TensorFlow's profiler: all operations)",
        "peak memory": f"{large(report.peakMemoryBytes, 'B')} of the {report.peakMemoryOf}",
        "step": f"{report.secondsPerStep:.3f} s, the first one {report.firstStepSeconds:.1f} s",
    }
    return "".join(f"{name:14}{text}\n" for name, text in lines.items() if text)
