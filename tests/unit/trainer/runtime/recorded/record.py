"""Records real errors of Keras, TensorFlow and tasks, each as the text of `str(error)`.

Run it after an upgrade of TensorFlow: `python -m tests.unit.trainer.runtime.recorded.record`. It rewrites errors.json,
and keeps the expected lines. `tests/unit/trainer/runtime/test_summaries.py` reads the file.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

ERRORS = Path(__file__).with_name("errors.json")
Cause = Callable[[], object]
_causes: dict[str, Cause] = {}


def cause(function: Cause) -> Cause:
    """Record the error that `function` raises under its name."""
    _causes[function.__name__] = function
    return function


def small_model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


@cause
def dense_of_a_wrong_shape() -> object:
    return small_model()(tf.ones([2, 3]))


@cause
def dense_of_a_wrong_shape_in_a_graph() -> object:
    model = small_model()
    return tf.function(lambda x: model(x) + 1.0)(tf.ones([2, 3]))


@cause
def convolution_of_a_wrong_shape_in_a_graph() -> object:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])

    @tf.function
    def step(images: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(model(images))

    return step(tf.ones([2, 8, 8, 1]))


@cause
def rank_of_a_convolution() -> object:
    return keras.layers.Conv2D(2, 3)(tf.ones([2, 8]))


@cause
def loss_of_other_shapes_in_a_graph() -> object:
    @tf.function
    def step() -> tf.Tensor:
        return tf.square(tf.ones([8]) - tf.ones([7, 3]))

    return step()


@cause
def keras_loss_of_other_shapes() -> object:
    return keras.losses.BinaryCrossentropy(reduction=None)(tf.ones([8, 2]), tf.ones([8, 3]))


class Halves(keras.layers.Layer):
    """A user's layer with a mistake in its graph code."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return values / 2 if tf.reduce_sum(values) > 0 else values


@cause
def mistake_in_a_layer_in_a_graph() -> object:
    layer = Halves()
    return tf.function(lambda x: layer(x) + 1.0)(tf.ones([2, 4]))


class Stateful(keras.layers.Layer):
    """A user's layer that calls a layer of the wrong shape."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = keras.layers.Dense(3)
        self.inner.build((None, 4))

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return self.inner(values)


@cause
def mistake_in_a_nested_layer() -> object:
    model = keras.Sequential([Stateful()])
    return tf.function(lambda x: model(x) + 1.0)(tf.ones([2, 5]))


@cause
def missing_argument_of_a_layer() -> object:
    return keras.layers.MultiHeadAttention(2, 4)(tf.ones([1, 2, 4]))


@cause
def message_of_several_lines_in_user_code() -> object:
    @tf.function
    def step() -> tf.Tensor:
        for _ in tf.range(3):
            raise ValueError("the labels are wrong:\n  got 7 classes\n  expected 3 classes")
        return tf.constant(1)

    return step()


@cause
def undefined_name_in_user_code() -> object:
    def parse(record: tf.Tensor) -> tf.Tensor:
        return undefined_name(record)  # type: ignore[name-defined]  # noqa: F821

    return tf.data.Dataset.range(3).map(parse)


@cause
def missing_key_in_map() -> object:
    def parse(record: dict[str, tf.Tensor]) -> tf.Tensor:
        return record["label"]

    return tf.data.Dataset.from_tensors({"image": tf.ones([1])}).map(parse)


@cause
def missing_key_in_dataset() -> object:
    return {"image": 1}["label"]


def consume(dataset: tf.data.Dataset) -> list[Any]:
    return list(dataset)


@cause
def python_error_in_a_generator() -> object:
    def generate() -> Iterator[float]:
        yield 1.0
        raise ValueError("record 2 of part-7 has no label")

    return consume(tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec([], tf.float32)))


@cause
def python_error_in_numpy_function() -> object:
    def decode(value: int) -> np.ndarray:
        return np.float32({}[int(value)])

    return consume(tf.data.Dataset.range(3).map(lambda n: tf.numpy_function(decode, [n], tf.float32)))


@cause
def missing_feature_in_a_record() -> object:
    records = tf.data.Dataset.from_tensors(tf.train.Example().SerializeToString())
    return consume(
        records.map(lambda each: tf.io.parse_single_example(each, {"y": tf.io.FixedLenFeature([], tf.int64)}))
    )


@cause
def broken_image() -> object:
    return consume(tf.data.Dataset.from_tensors(b"no image").map(tf.io.decode_jpeg))


@cause
def batch_of_unequal_shapes() -> object:
    return consume(tf.data.Dataset.range(3).map(lambda n: tf.ones([n])).batch(3))


@cause
def not_a_tfrecord() -> object:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"these are not records, but plain text of some length")
        file.flush()
        return consume(tf.data.TFRecordDataset([file.name]))


@cause
def missing_file() -> object:
    return consume(tf.data.TFRecordDataset(["/data/train-00000.tfrecord"]))


@cause
def end_of_data() -> object:
    iterator = iter(tf.data.Dataset.range(1))

    @tf.function
    def step() -> tf.Tensor:
        total = tf.constant(0, tf.int64)
        for _ in tf.range(3):
            total += next(iterator)
        return total

    return step()


@cause
def label_out_of_range_in_a_graph() -> object:
    @tf.function
    def step(labels: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.ones([2, 3]))

    return step(tf.constant([1, 7]))


@cause
def id_out_of_range_in_an_embedding() -> object:
    layer = keras.layers.Embedding(10, 2)
    return tf.function(lambda x: layer(x) + 1.0)(tf.constant([[11]]))


@cause
def failed_assertion_in_a_graph() -> object:
    @tf.function
    def step(values: tf.Tensor) -> tf.Tensor:
        tf.debugging.assert_less(values, 1.0, message="the images are not scaled")
        return values

    return step(tf.constant([0.5, 200.0]))


@cause
def check_numerics() -> object:
    return tf.function(lambda x: tf.debugging.check_numerics(tf.math.log(x), "log of the rate"))(tf.constant([-1.0]))


@cause
def multiplication_of_wrong_shapes_in_a_graph() -> object:
    @tf.function(input_signature=[tf.TensorSpec([None, None])] * 2)
    def step(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        return tf.matmul(first, second)

    return step(tf.ones([2, 3]), tf.ones([4, 2]))


@cause
def out_of_memory_in_a_graph() -> object:
    @tf.function
    def step(size: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.random.uniform(tf.stack([size, size])))

    return step(tf.constant(1 << 23))  # more than the addresses of a process


@cause
def out_of_memory() -> object:
    return tf.random.uniform(tf.constant([1 << 23, 1 << 23]))


@cause
def label_out_of_range_on_two_replicas() -> object:
    strategy = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])

    @tf.function
    def step(labels: tf.Tensor) -> tf.Tensor:
        return strategy.run(lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.ones([2, 3])))

    return step(tf.constant([1, 7]))


@cause
def no_kernel_for_this_type() -> object:
    return tf.raw_ops.Conv2D(
        input=tf.ones([1, 4, 4, 2]), filter=tf.ones([2, 2, 1, 2]), strides=[1, 1, 1, 1], padding="SAME",
        data_format="NCHW",
    )  # fmt: skip


@cause
def xla_of_strings() -> object:
    return tf.function(lambda x: tf.strings.length(tf.strings.as_string(x)), jit_compile=True)(tf.constant([1.0]))


@cause
def xla_of_a_python_function() -> object:
    double = tf.function(lambda x: tf.numpy_function(lambda each: each * 2, [x], tf.float32), jit_compile=True)
    return double(tf.constant(3.0))


@cause
def missing_checkpoint() -> object:
    return tf.train.Checkpoint(value=tf.Variable(1.0)).read("/runs/first/checkpoints/ckpt-10")


@cause
def checkpoint_of_another_shape() -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = tf.train.Checkpoint(value=tf.Variable([1.0, 2.0])).write(f"{folder}/ckpt-1")
        return tf.train.Checkpoint(value=tf.Variable([1.0])).read(path)


@cause
def checkpoint_without_a_variable() -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = tf.train.Checkpoint(value=tf.Variable(1.0)).write(f"{folder}/ckpt-1")
        return tf.train.Checkpoint(other=tf.Variable(1.0)).read(path).assert_existing_objects_matched()


@cause
def optimizer_of_other_variables() -> object:
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([keras.Variable([1.0])])
    return optimizer.apply([tf.constant([1.0])], [keras.Variable([2.0])])


@cause
def metric_that_uses_numpy_in_a_graph() -> object:
    return tf.function(lambda x: float(x.numpy()))(tf.constant(1.0))


@cause
def tensor_as_a_condition() -> object:
    return tf.function(lambda x: [1 for each in x if each > 0], autograph=False)(tf.constant([1.0]))


@cause
def export_of_an_untracked_table() -> object:
    initial = tf.lookup.KeyValueTensorInitializer(["a"], [1])
    table = tf.lookup.StaticHashTable(initial, -1)
    model = small_model()
    module = tf.Module()
    module.serve = tf.function(
        lambda x: (model(x), table.lookup(tf.constant(["a"]))), input_signature=[tf.TensorSpec([None, 4])]
    )
    with tempfile.TemporaryDirectory() as folder:
        return tf.saved_model.save(module, folder)


def main() -> None:
    """Raise each error and write its text."""
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    before = json.loads(ERRORS.read_text()) if ERRORS.exists() else {}
    recorded = {}
    for name, function in _causes.items():
        try:
            function()
        except Exception as error:  # noqa: BLE001, RUF100 - every error is wanted; one that is gone is left out
            line = before.get(name, {}).get("line", "")
            recorded[name] = {"class": type(error).__name__, "line": line, "text": str(error)}
    ERRORS.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
