"""The tasks that test_numbers trains under each strategy."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from tests.integration.numbers import bugs
from tests.integration.numbers.cases import STEPS, Case, parts_of
from trainer.task import DataContext, Task

BATCH: Final = 12


class Own(keras.optimizers.SGD):  # type: ignore[misc]
    """An optimizer of a user, which does something to the gradients that is not linear."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Take the gradients' square roots."""
        super().apply(
            [None if each is None else tf.sign(each) * tf.sqrt(tf.abs(each)) for each in map(_dense, grads)],
            trainable_variables,
        )


def _dense(gradient: Any) -> Any:
    return None if gradient is None else tf.convert_to_tensor(gradient)


def optimizer(part: Case) -> Any:
    """Return the optimizer of a branch."""
    rate: Any = 0.05
    if part["extra"] == "schedule":
        rate = keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.5)
    match part["optimizer"]:
        case "Own":
            return Own(rate, **part["options"])
        case "Momentum":
            return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **part["options"])
        case name:
            chosen = getattr(keras.optimizers, name)
            # With a tiny epsilon, optimizers that divide by a mean of squares amplify the rounding of small gradients.
            epsilon = {"epsilon": 1e-3} if "epsilon" in inspect.signature(chosen).parameters else {}
            return chosen(rate, **epsilon, **part["options"])


def branch_of(path: str) -> int:
    """Return the number of the branch that the variable at `path` belongs to."""
    found = re.match(r"b(\d+)_", path)
    assert found, path
    return int(found[1])


class Product(Task):
    """Several branches in one model, each with its own optimizer."""

    case: Case
    strategy: str

    def model(self) -> Any:
        """Return a model whose outputs are `[batch, branches]`."""
        inputs = [keras.Input((4,)), keras.Input((4,), dtype="int64")]
        outputs = []
        for number, part in parts_of(self.case, self.strategy).items():
            keras.utils.set_random_seed(number)  # A branch begins the same whatever other branches there are.
            outputs.append(self._branch(f"b{number}_", part, inputs))
        return keras.Model(inputs, keras.layers.Concatenate(dtype="float32")(outputs))

    def _branch(self, name: str, part: Case, inputs: list[Any]) -> Any:
        extra, layers = part["extra"], keras.layers
        x = inputs[0]
        if part["inputs"] == "embedding":
            table = layers.Embedding(
                6, 3, embeddings_initializer=keras.initializers.RandomUniform(-1, 1), name=name + "embedding"
            )
            x = layers.Flatten()(table(inputs[1]))
        x = layers.Dense(
            5,
            use_bias=not part["norm"],
            name=name + "first",
            kernel_regularizer=keras.regularizers.L2(0.1) if extra == "regularizer" else None,
            kernel_constraint=keras.constraints.MaxNorm(0.8) if extra == "constraint" else None,
        )(x)
        if part["norm"]:
            x = layers.BatchNormalization(
                momentum=0.5, center=False, synchronized=part["norm"] == "synchronized", name=name + "norm"
            )(x)
        if extra == "frozen":
            frozen = layers.Dense(5, name=name + "frozen")
            x = frozen(x)
            frozen.trainable = False
        x = layers.Activation("tanh")(x)
        # To trace an optimizer takes time for each variable.
        return layers.Dense(1, use_bias=False, name=name + "last", dtype="float32")(x)

    def optimizer(self) -> Any:
        """Return an optimizer that hands each variable to that of its branch."""
        self.optimizers = {number: optimizer(part) for number, part in parts_of(self.case, self.strategy).items()}
        several = keras.optimizers.MultiOptimizer(lambda variable: self.optimizers[branch_of(variable.path)])
        if self.case["precision"] != "mixed_float16":
            return several
        # No branch may overflow: then all would skip the step, and a reference does not have all of them.
        return keras.mixed_precision.LossScaleOptimizer(several, initial_scale=2.0**8)

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the squares, `[batch]`."""
        return tf.reduce_sum(tf.square(labels[:, None] - outputs), axis=1)

    def records(self) -> tuple[Any, ...]:
        """Return the features, labels and weights of all steps."""
        drawn = np.random.default_rng(5)
        x = drawn.normal(size=(BATCH * STEPS, 4)).astype("float32")
        ids = drawn.integers(0, 6, size=x.shape)
        y = drawn.normal(size=len(x)).astype("float32") * 3
        weights = drawn.uniform(0, 2, size=len(x)).astype("float32")
        return ((x, ids), y, weights) if self.case["weights"] else ((x, ids), y)

    def dataset(self, context: DataContext, split: str) -> Any:
        """Return this pipeline's part of each step's batch."""
        data = tf.data.Dataset.from_tensor_slices(self.records()).batch(context.batch_size, drop_remainder=True)
        return data.shard(context.pipelines, context.pipeline).repeat()


class Overflow(Task):
    """In some steps the batch of the last replica makes float16 overflow."""

    def model(self) -> Any:
        """Return a model of two layers."""
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(1, dtype="float32")])

    def optimizer(self) -> Any:
        """Return an optimizer with loss scaling that grows often."""
        scaling = keras.mixed_precision.LossScaleOptimizer
        return scaling(keras.optimizers.SGD(1e-3), initial_scale=2.0**10, dynamic_growth_steps=15)

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the squares."""
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context: DataContext, split: str) -> Any:
        """Return this pipeline's batches."""
        data = tf.data.Dataset.counter().map(partial(self._batch, context.batch_size))
        return data.shard(context.pipelines, context.pipeline)

    def _batch(self, size: int, number: Any) -> Any:
        replicas = BATCH // size
        step, replica = number // replicas, number % replicas
        overflows = tf.logical_and(tf.logical_or(step % 37 == 5, step % 97 == 3), replica == replicas - 1)
        return tf.ones([size, 4]) * tf.where(overflows, np.inf, 1.0), tf.fill([size], 3.0)


class Noise(keras.layers.Layer):  # type: ignore[misc]
    """Random numbers of three sources: a state of the layer, the one that Keras has for all, and TensorFlow's own."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, inputs: Any) -> Any:
        """Return `[batch, 3]`."""
        shape = (tf.shape(inputs)[0], 1)
        numbers = keras.random.normal(shape, seed=self.seed), keras.random.normal(shape), tf.random.normal(shape)
        return tf.concat(numbers, axis=1)


class Random(Overflow):
    """Random numbers in the model."""

    def model(self) -> Any:
        """Return a model whose second output is random."""
        inputs = keras.Input((4,))
        return keras.Model(inputs, [keras.layers.Dense(1)(inputs)[:, 0], Noise()(inputs)])

    def optimizer(self) -> Any:
        """Return an optimizer."""
        return keras.optimizers.SGD(1e-3)

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the squares."""
        return tf.square(labels - outputs[0])


class Counter(keras.layers.Layer):  # type: ignore[misc]
    """What a layer counts itself: numbers of several types."""

    def __init__(self) -> None:
        super().__init__()
        new = partial(self.add_weight, (), initializer="zeros", trainable=False)
        self.mean, self.calls = new(name="mean"), new(name="calls", dtype="int64")
        self.seen, self.large = new(name="seen", dtype="int32"), new(name="large", dtype="bool")
        self.own = tf.Variable(0.0, trainable=False, name="own")

    def call(self, inputs: Any) -> Any:
        """Count, and return the inputs."""
        self.mean.assign(tf.reduce_mean(inputs))
        self.own.assign(tf.reduce_mean(inputs))
        self.calls.assign_add(1)
        self.seen.assign_add(tf.shape(inputs)[0])
        self.large.assign(tf.reduce_mean(inputs) > 0.5)
        return inputs


class Counting(Overflow):
    """Layers that count: the replica with the number N is given features that are N."""

    def model(self) -> Any:
        """Return a model with a counter, and batch normalization in a nested model."""
        nested = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(momentum=0.0)])
        return keras.Sequential([keras.Input((4,)), Counter(), nested, keras.layers.Dense(1)])

    def optimizer(self) -> Any:
        """Return an optimizer."""
        return keras.optimizers.SGD(1e-3)

    def _batch(self, size: int, number: Any) -> Any:
        replica = number % (BATCH // size)
        return tf.ones([size, 4]) * tf.cast(replica, tf.float32), tf.fill([size], 3.0)


TASKS: Final[dict[str, type[Any]]] = {
    "product": Product,
    "overflow": Overflow,
    "random": Random,
    "counting": Counting,
    "communication": bugs.Overflowing,
    **bugs.TASKS,
}


def task(case: Case, strategy: str) -> Any:
    """Return the task of `case` under `strategy`."""
    found = TASKS[case["kind"]]({})
    found.case, found.strategy = case, strategy
    return found
