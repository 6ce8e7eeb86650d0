"""The sizes of a model: its parameters, and the operations of its forward pass."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator, Sequence

from trainer.runtime import errors, logs
from trainer.runtime.types import Json, Model


def count(model: Model) -> tuple[int, int]:
    """Return the numbers of all and of the trainable parameters. Both include the embedding tables."""
    from trainer import embedding

    tables = embedding.tables(model)
    trainable = sum(_size(each.shape) for each in model.trainable_weights)
    trained = sum(table.rows * table.width for table in tables if table.trainable)
    return model.count_params() + sum(table.rows * table.width for table in tables), trainable + trained


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


def or_none(count_them: Callable[[], int]) -> int | None:
    """Return the count, or None if the model contains something uncountable, such as an unknown shape."""
    try:
        return count_them()
    except Exception as error:  # noqa: BLE001, RUF100 - a missing count is not an error of the task
        logs.log.info("not counted: %s", errors.summary(error))
        return None


def peak_memory() -> tuple[int, str]:
    """Return the peak memory so far in bytes, and what used it: the GPU, or this process."""
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]), "GPU"
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "process"
