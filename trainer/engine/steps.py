"""Running training steps: the replica's step, and how a segment of many of them runs under each kind of strategy."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

from trainer import embedding, inputs
from trainer.runtime import malloc
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError
from trainer.runtime.types import Iterator, Model, Optimizer, Strategy, Tensor
from trainer.task import DataContext, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """What a run trains and saves."""

    model: Model
    optimizer: Optimizer
    step: tf.Variable
    """Steps done, int64. The optimizer counts its own iterations, which a user's schedule may need otherwise."""


def build(task: Task, strategy: Strategy, settings: TrainerConfig) -> TrainState:
    """Build model, optimizer and step counter under `strategy`.

    Raises:
        ConfigError: the global batch can't be split evenly over the replicas, or the strategy can't do something.
        ValueError: the model is not built.

    """
    import keras

    if settings.jit_compile and isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise ConfigError(
            "trainer.jitCompile: got true: XLA can't read variables of another task, which those of ParameterServer "
            "are: set trainer.jitCompile to false, or strategy to MultiWorkerMirrored"
        )
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise ConfigError(
            f"trainer.batchSize: got {settings.batch_size}: must be a multiple of the {replicas} replicas: "
            f"set trainer.batchSize to {max(1, settings.batch_size // replicas) * replicas}"
        )
    with strategy.scope():
        model = task.model()
        if not model.built:
            raise ValueError("model() must return a model that is built: begin it with keras.Input")
        optimizer = task.optimizer()
        if settings.precision == "mixed_float16":
            if embedding.tables(model):
                raise ConfigError(
                    "trainer.precision: got 'mixed_float16': embedding tables have no loss scaling: "
                    "set trainer.precision to mixed_bfloat16 or float32"
                )
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
    return TrainState(model=model, optimizer=optimizer, step=step)


def make_iterations_atomic(optimizer: Optimizer) -> None:
    """Let several workers count `optimizer.iterations` at once without losing any.

    Keras 3 counts by reading, adding and writing; of 200 steps on two workers some 20 to 50 got lost.
    """
    for each in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if each is not None:
            value = each.iterations.value
            each.iterations.assign_add = lambda delta, value=value: value.assign_add(tf.cast(delta, value.dtype))


def per_example(losses: Tensor) -> Tensor:
    """Return `losses` as one float per example, `[batch]`.

    Raises:
        ValueError: `losses` is a scalar.

    """
    losses = tf.convert_to_tensor(losses)
    if losses.shape.rank == 0:
        raise ValueError(
            "loss() returned a scalar: it must return the loss of each example, shape [batch], because the trainer "
            "takes the mean over all replicas: use a loss function, or a keras.losses.Loss with reduction=None"
        )
    losses = tf.cast(losses, tf.float32)
    return losses if losses.shape.rank == 1 else tf.reduce_mean(losses, axis=list(range(1, losses.shape.rank)))


def replica_step(
    task: Task, state: TrainState, *, global_batch: int, replicas: int, jit_compile: bool
) -> Callable[[Tensor], Tensor]:
    """Return the function that one replica runs per step: batch -> its share of the loss (their sum is the loss).

    With `jit_compile` XLA compiles forward and backward pass, that is nearly all the work; the update, which talks to
    other devices, stays outside.
    """
    model, optimizer = state.model, state.optimizer
    tables = embedding.tables(model)

    def gradients(features: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            losses = per_example(task.loss(labels, model(features, training=True)))
            if weights is not None:
                losses *= tf.cast(weights, losses.dtype)
            loss = tf.reduce_sum(losses) / global_batch
            if model.losses:
                loss += tf.cast(tf.add_n(model.losses), loss.dtype) / replicas
            scaled = optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, (model.trainable_variables, [table.pieces for table in tables]))

    compiled = tf.function(gradients, jit_compile=True) if jit_compile else gradients

    def step(batch: Tensor) -> Tensor:
        features, labels, *weights = batch
        loss, (dense, sparse) = compiled(features, labels, weights[0] if weights else None)
        optimizer.apply(dense, model.trainable_variables)
        for table, rows in zip(tables, sparse, strict=True):
            table.apply_gradients(rows)
        state.step.assign_add(1)
        return loss

    return step


def pipeline_function(
    task: Task, settings: TrainerConfig, *, replicas: int, data_dir: str | None, seed: int | None
) -> Callable[[tf.distribute.InputContext], tf.data.Dataset]:
    """Return the function that builds the training data of one input pipeline."""

    def build_pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        part = DataContext(
            batch_size=settings.batch_size // replicas,
            pipelines=context.num_input_pipelines,
            pipeline=context.input_pipeline_id,
            seed=None if seed is None else seed + context.input_pipeline_id,
            data_dir=data_dir,
        )
        with inputs.unseeded() if seed is None else nullcontext():
            dataset = task.dataset(part, "train")
        if dataset is None:
            raise ValueError('dataset() returned None for "train": it must return a tf.data.Dataset')
        return dataset

    return build_pipeline


class StepRunner(Protocol):
    """Runs segments of steps."""

    def run(self, count: int) -> float | None:
        """Run `count` steps and return their mean loss, None when it is not known."""

    def step(self) -> int:
        """Return the steps done in all."""

    def waited(self) -> tuple[float, float]:
        """Return the seconds waited for data and the seconds of all in the last segment; the first one counts 0."""


def _next(iterator: Iterator) -> tuple[Tensor, Tensor]:
    """Return the next batch and how long it took to come, in seconds; in a graph.

    A step starts when all of the one before has been done (or, on a GPU, handed over), so nothing else is in this time.
    """
    start = tf.timestamp()
    batch = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        ready = tf.timestamp()
    return batch, ready - start


class SyncStepRunner:
    """Runs a segment as one graph with a loop in it: one call into TensorFlow per segment."""

    def __init__(self, strategy: Strategy, state: TrainState, step: Callable[[Tensor], Tensor], data: Iterator) -> None:
        self._state = state
        self._iterator = iter(data)
        self._times = _Times()

        def segment(iterator: Iterator, count: Tensor) -> tuple[Tensor, Tensor]:
            total, waited = tf.constant(0.0), tf.constant(0.0, tf.float64)
            for _ in tf.range(count):
                batch, seconds = _next(iterator)
                losses = strategy.run(step, args=(batch,))
                total += strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
                waited += seconds
            return total, waited

        self._segment = tf.function(segment)

    def run(self, count: int) -> float:
        """Run `count` steps and return their mean loss."""
        start = time.monotonic()
        # A tensor, because a Python number would be traced anew for each value.
        total, waited = self._segment(self._iterator, tf.constant(count))
        loss = float(total) / count
        self._times.add(float(waited), time.monotonic() - start)
        malloc.keep_large_blocks()
        return loss

    def step(self) -> int:
        """Return the steps done in all."""
        return int(self._state.step.numpy())

    def waited(self) -> tuple[float, float]:
        """Return the seconds waited for data and the seconds of all in the last segment; the first one counts 0."""
        return self._times.last


class _Times:
    """Seconds waited and seconds of all of the last segment; the first one is mostly tracing."""

    def __init__(self) -> None:
        self.last = (0.0, 0.0)
        self._traced = False

    def add(self, waited: float, seconds: float) -> None:
        """Note a segment."""
        if self._traced:
            self.last = (waited, seconds)
        self._traced = True


class ParameterServerStepRunner:
    """Runs a segment as one closure per step, which the coordinator hands to whichever worker is free.

    A step that was running on a worker that died is run again by another one, so there may be one too many per lost
    worker, and never one too few.
    """

    def __init__(
        self,
        strategy: Strategy,
        state: TrainState,
        step: Callable[[Tensor], Tensor],
        pipeline: Callable[[tf.distribute.InputContext], tf.data.Dataset],
    ) -> None:
        self._state = state
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        self._workers = int(strategy.extended._num_workers)
        self._times = _Times()
        self._iterator = iter(
            self._coordinator.create_per_worker_dataset(lambda: strategy.distribute_datasets_from_function(pipeline))
        )
        with strategy.scope():
            totals = tf.Variable([0.0, 0.0], trainable=False, name="loss_and_wait")
        self._totals = totals

        def one_step(iterator: Iterator) -> None:
            batch, seconds = _next(iterator)
            loss = strategy.run(step, args=(batch,))
            totals.assign_add([loss, tf.cast(seconds, tf.float32)])

        self._one_step = tf.function(one_step)

    def run(self, count: int) -> float | None:
        """Run `count` steps and return their mean loss."""
        before, start = self.step(), time.monotonic()
        for _ in range(count):
            self._coordinator.schedule(self._one_step, args=(self._iterator,))
        self._coordinator.join()
        loss, waited = self._totals.numpy().tolist()
        done = self.step() - before
        self._totals.assign([0.0, 0.0])  # nothing is in flight after join
        self._times.add(waited, (time.monotonic() - start) * self._workers)
        return float(loss) / done if done else None

    def step(self) -> int:
        """Return the steps done in all."""
        return int(self._state.step.numpy())

    def waited(self) -> tuple[float, float]:
        """Return the seconds that the workers waited for data, and their seconds in all, in the last segment."""
        return self._times.last
