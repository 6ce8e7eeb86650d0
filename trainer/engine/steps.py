"""Training steps: the step of one replica, and a runner of segments for each kind of strategy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import keras
import tensorflow as tf

from trainer import embedding, inputs
from trainer.engine import averages, batches, gradients, recovery, replicated
from trainer.engine.additions import Additions
from trainer.runtime import malloc
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError, InvalidTask, Words
from trainer.runtime.types import Iterator, Model, Optimizer, Strategy, Tensor
from trainer.task import Task

_OWN_STEPS: Final = ("train_step", "test_step", "compute_loss")
"""What Keras' `fit` and `evaluate` call. The trainer does not, so it would train something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """The objects that a run trains and saves."""

    model: Model
    optimizer: Optimizer
    step: tf.Variable
    """The number of steps done, int64. It differs from the optimizer's iterations after a warm start."""
    unseeded: replicated.Generator
    """What Keras' random operations without a seed draw from."""


def build(task: Task, strategy: Strategy, settings: TrainerConfig, *, shares: int | None = None) -> TrainState:
    """Build the model, the optimizer and the step counter under `strategy`.

    Args:
        task: The user's task.
        strategy: The strategy of the run.
        settings: The settings of the trainer.
        shares: The batch size must be a multiple of this number; None: the number of replicas.

    Raises:
        ConfigError: The batch size is not such a multiple, or a setting does not fit the strategy or model.
        InvalidTask: The model is not built.

    """
    if settings.jit_compile and isinstance(strategy, tf.distribute.ParameterServerStrategy):
        # XLA cannot read the variables of another task.
        raise ConfigError(
            "trainer.jitCompile",
            got=True,
            expected="false for ParameterServer",
            fix="Set trainer.jitCompile: false or strategy: MultiWorkerMirrored",
        )
    _require_shares(settings.batch_size, strategy.num_replicas_in_sync, shares)
    with strategy.scope():
        model = require_built(task.model())
        # As in Keras, the policy of the model counts, which the task may have set.
        half = "mixed_float16" in (settings.precision, model.dtype_policy.name)
        precision = "mixed_float16" if half else settings.precision
        optimizer = gradients.scaled(task.optimizer(), precision)
        gradients.refuse_skipped_steps(model, optimizer, settings.precision)
        optimizer.build(model.trainable_variables)
        gradients.refuse(model, optimizer, strategy, jit_compile=settings.jit_compile)
        gradients.take_sums(optimizer)
        averages.begin(optimizer)
        step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        unseeded = replicated.Generator(settings.seed)
    return TrainState(model=model, optimizer=optimizer, step=step, unseeded=unseeded)


def _require_shares(batch_size: int, replicas: int, shares: int | None) -> None:
    """Refuse a batch size that the replicas cannot share.

    Raises:
        ConfigError: It is not a multiple of `shares`, or too small.

    """
    unit = shares or replicas
    if batch_size % unit == 0 and batch_size >= replicas:
        return
    least = -(-replicas // unit) * unit
    raise ConfigError(
        "trainer.batchSize",
        got=batch_size,
        expected=f"a multiple of the {unit} replicas"
        if shares is None
        else f"at least {replicas} and a multiple of the {unit} replicas of a worker",
        fix=f"Set trainer.batchSize: {max(least, batch_size // unit * unit)}",
    )


def require_built(model: Model) -> Model:
    """Return `model`, whose variables exist.

    Raises:
        InvalidTask: The model is not built, or has its own way to train.

    """
    for method in _OWN_STEPS:
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise InvalidTask(
                "model()",
                got=Words(f"a model with a {method}() of its own"),
                expected="a model that only maps features to outputs",
                fix="Compute the loss in loss(), and return keras.Model(model.inputs, model.outputs)",
            )
    if model.built:
        return model
    raise InvalidTask(
        "model()",
        got=Words("a model that is not built"),
        expected="a model whose variables exist",
        fix="Begin the model with keras.Input",
    )


def make_iterations_atomic(optimizer: Optimizer) -> None:
    """Make the increment of `optimizer.iterations` atomic, so that concurrent workers do not lose any.

    Keras 3 reads, adds and writes in separate operations. Two workers lost 20 to 50 of 200 increments that way.
    """
    for each in gradients.nested(optimizer):
        value = each.iterations.value
        each.iterations.assign_add = lambda delta, value=value: value.assign_add(tf.cast(delta, value.dtype))


def per_example(losses: Tensor, examples: int | None) -> Tensor:
    """Return one loss per example, float32 of shape `[batch]`; the mean over all further dimensions of `losses`.

    Args:
        losses: The result of `Task.loss`.
        examples: The size of the batch, None if it is unknown.

    Raises:
        ValueError: `losses` is a scalar, or has not one row per example.

    """
    losses = tf.convert_to_tensor(losses)
    if losses.shape.rank == 0:
        raise ValueError(
            "loss() returned a scalar. Return one loss per example, shape [batch]: call a loss function, or a "
            "keras.losses.Loss with reduction=None. The trainer computes the mean over all replicas."
        )
    if None not in (losses.shape[0], examples) and losses.shape[0] != examples:
        raise ValueError(
            f"returned {losses.shape[0]} losses for {examples} examples: it must return one loss per example"
        )
    losses = tf.ensure_shape(losses, [examples, *losses.shape[1:]])  # A mask may leave the number open until now.
    losses = tf.cast(losses, tf.float32)
    return losses if losses.shape.rank == 1 else tf.reduce_mean(losses, axis=list(range(1, losses.shape.rank)))


def require_no_mask(losses: Tensor, outputs: Tensor) -> None:
    """Refuse losses of steps that a mask leaves out, because the mean would count them.

    Keras divides by the number of steps that the mask keeps.

    Raises:
        ValueError: `outputs` have a mask, and `losses` have more dimensions than the batch.

    """
    masked = any(getattr(each, "_keras_mask", None) is not None for each in tf.nest.flatten(outputs))
    if masked and tf.convert_to_tensor(losses).shape.rank != 1:
        raise ValueError(
            "returned losses of several steps for outputs with a mask. Return one loss per example, shape [batch]: "
            "the mean over the steps that the mask keeps"
        )


def examples_in(features: Tensor) -> int | None:
    """Return the number of examples in `features`, or their specs; None if the shapes leave it open."""
    first = tf.nest.flatten(features)[0].shape
    return first[0] if first.rank else None


def replica_step(
    task: Task, state: TrainState, *, global_batch: int, replicas: int, jit_compile: bool
) -> Callable[[Tensor], Tensor]:
    """Return the function that one replica runs per step.

    The function takes a batch and returns the replica's share of the loss, a scalar. The sum over all replicas is the
    loss.

    Args:
        task: The user's task.
        state: The model, the optimizer and the step.
        global_batch: The number of examples per step on all replicas.
        replicas: The number of replicas.
        jit_compile: Whether XLA compiles the forward and the backward pass. The update is not compiled, because it
            communicates with other devices.

    """
    model, optimizer = state.model, state.optimizer
    tables = [table for table in embedding.tables(model) if table.trainable]
    added = Additions(model, replicas)

    def share(features: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        replicated.draw_unseeded_from(state.unseeded)
        with tf.GradientTape() as tape:
            outputs = model(features, training=True)
            losses = task.loss(labels, outputs)
            require_no_mask(losses, outputs)
            losses = per_example(losses, examples_in(features))
            if weights is not None:
                losses *= tf.cast(weights, losses.dtype)
            loss = tf.reduce_sum(losses) / global_batch
            loss += added.share(tf.cast(tf.shape(losses)[0], tf.float32) / global_batch)
            scale = optimizer.scale_loss(tf.constant(1.0))
            scaled = loss * scale
        dense, sparse = tape.gradient(scaled, (model.trainable_variables, [table.pieces for table in tables]))
        return loss, scale, dense, [gradients.divided(rows, scale) for rows in sparse]

    compiled = tf.function(share, jit_compile=True) if jit_compile else share

    def step(batch: Tensor) -> Tensor:
        features, labels, *weights = batch
        loss, scale, dense, sparse = compiled(features, labels, weights[0] if weights else None)
        gradients.apply(optimizer, gradients.reduce(dense), model.trainable_variables, scale)
        for table, rows in zip(tables, sparse, strict=True):
            table.apply_gradients(rows)
        state.step.assign_add(1)
        return loss

    return step


def _next(iterator: Iterator) -> tuple[Tensor, Tensor]:
    """Return the next batch and the seconds of waiting for it, as tensors of a graph.

    A step starts after the previous step has ended or, on a GPU, was enqueued. So the time contains no other work.
    """
    start = tf.timestamp()
    with tf.control_dependencies([start]):
        batch = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        ready = tf.timestamp()
    return batch, ready - start


def _finite(loss: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of a step, or 0 if it is not finite; and 0, or 1 if it is not finite.

    Both are float32. TensorFlow adds int32 on the CPU, so a GPU would copy a number to the CPU at each step.
    """
    finite = tf.math.is_finite(loss)
    return tf.where(finite, loss, 0.0), tf.cast(tf.math.logical_not(finite), tf.float32)


class SyncStepRunner:
    """Runs a segment as one graph that contains a loop, in one call into TensorFlow."""

    def __init__(self, strategy: Strategy, state: TrainState, step: Callable[[Tensor], Tensor], data: Iterator) -> None:
        self._state = state
        self._iterator = iter(data)
        self._times = _Times()
        self._lost = 0

        def segment(iterator: Iterator, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            total, lost, waited = tf.constant(0.0), tf.constant(0.0), tf.constant(0.0, tf.float64)
            for _ in tf.range(count):
                batch, seconds = _next(iterator)
                losses = strategy.run(step, args=(batch,))
                loss = strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
                loss, not_finite = _finite(loss)
                total, lost, waited = total + loss, lost + not_finite, waited + seconds
            return total, lost, waited

        self._segment = tf.function(segment)

    def run(self, count: int) -> float:
        """Run `count` steps; return the mean of their finite losses, not a number if there is none."""
        start = time.monotonic()
        # `count` is a tensor, because TensorFlow would trace the graph again for each Python number.
        with batches.refusals():
            total, lost, waited = self._segment(self._iterator, tf.constant(count))
        self._lost = round(float(lost))
        loss = float(total) / (count - self._lost) if self._lost < count else math.nan
        if not self._times.traced:  # TensorFlow patches the allocator once, when the first batch arrives
            malloc.keep_large_blocks()
        self._times.add(float(waited), time.monotonic() - start)
        return loss

    def step(self) -> int:
        """Return the number of steps done since step 0 of the run."""
        return int(self._state.step.numpy())

    def lost(self) -> int:
        """Return the number of steps without a finite loss in the last segment."""
        return self._lost

    def waited(self) -> tuple[float, float]:
        """Return the seconds of waiting for data and all seconds of the last segment; both are 0 for the first one."""
        return self._times.last


class _Times:
    """The times of the last segment, without the first segment, which mostly traces the graph."""

    def __init__(self) -> None:
        self.last = (0.0, 0.0)
        self.traced = False

    def add(self, waited: float, seconds: float) -> None:
        """Record a segment that took `seconds` and `waited` for data for some of them."""
        if self.traced:
            self.last = (waited, seconds)
        self.traced = True


class ParameterServerStepRunner:
    """Runs a segment as one closure per step, which the coordinator schedules on the next free worker.

    If a worker is lost during a step, another worker runs that step again. So a segment may have one extra step per
    lost worker, and never has too few steps.
    """

    def __init__(
        self,
        strategy: Strategy,
        state: TrainState,
        step: Callable[[Tensor], Tensor],
        pipeline: Callable[[tf.distribute.InputContext], tf.data.Dataset],
        workers: recovery.Members,
    ) -> None:
        self._state = state
        self._coordinator = recovery.coordinator(strategy, workers)
        self._workers = workers
        self._times = _Times()
        self._iterator = iter(
            self._coordinator.create_per_worker_dataset(lambda: strategy.distribute_datasets_from_function(pipeline))
        )
        # The totals of all segments so far. All workers wait between two segments, and each access to a variable is a
        # call to a parameter server. So a segment reads the totals and the step once, and resets nothing.
        with strategy.scope():
            totals = tf.Variable(tf.zeros(3, tf.float64), trainable=False, name="loss_lost_and_wait")
        self._totals = totals
        self._totals_before = totals.numpy()
        self._step: int | None = None
        self._lost = 0

        def one_step(iterator: Iterator) -> None:
            batch, seconds = _next(iterator)
            # All workers run this graph: under the run's seed they would draw the same random numbers.
            with inputs.unseeded(), replicated.drawing_apart():
                loss = strategy.run(step, args=(batch,))
            loss, not_finite = _finite(loss)
            totals.assign_add([tf.cast(each, tf.float64) for each in (loss, not_finite, seconds)])

        self._one_step = tf.function(one_step)

    def run(self, count: int) -> float | None:
        """Run `count` steps; return the mean of their finite losses, or None if no step was counted."""
        before, start = self.step(), time.monotonic()
        with batches.refusals():
            for _ in range(count):
                self._coordinator.schedule(self._one_step, args=(self._iterator,))
            self._coordinator.join()
        totals = self._totals.numpy()
        loss, lost, waited = (totals - self._totals_before).tolist()
        self._totals_before = totals
        self._step = int(self._state.step.numpy())
        done, self._lost = self._step - before, round(lost)
        self._times.add(waited, (time.monotonic() - start) * max(1, self._workers.there))
        if not done:
            return None
        return float(loss) / (done - self._lost) if self._lost < done else math.nan

    def step(self) -> int:
        """Return the number of steps done since step 0 of the run, at the end of the last segment."""
        return int(self._state.step.numpy()) if self._step is None else self._step

    def lost(self) -> int:
        """Return the number of steps without a finite loss in the last segment."""
        return self._lost

    def waited(self) -> tuple[float, float]:
        """Return the seconds of waiting for data and all seconds, summed over the workers, of the last segment."""
        return self._times.last
