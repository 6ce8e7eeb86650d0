"""The three loops that a check compares. All train the same task with the same batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import keras
import tensorflow as tf

from trainer.engine import batches, steps
from trainer.engine.loop import SegmentSizer
from trainer.engine.pipelines import pipeline_function
from trainer.runtime.config import TrainerConfig
from trainer.task import DataContext, Task

_WARM_UP: Final = 4
"""Steps in which the libraries of the GPU choose their kernels."""


@dataclass(frozen=True)
class Loop:
    """Trains a task."""

    run: Callable[[int], float]
    """Runs steps to their end, and returns the seconds of waiting for data; 0 if the loop does not measure them."""


def trainer(task: Task, strategy: tf.distribute.Strategy, settings: TrainerConfig, data_dir: str | None) -> Loop:
    """Return the loop of the trainer."""
    state = steps.build(task, strategy, settings)
    replicas = strategy.num_replicas_in_sync
    step = steps.replica_step(
        task, state, global_batch=settings.batch_size, replicas=replicas, jit_compile=settings.jit_compile
    )
    pipeline = pipeline_function(task, settings, replicas=replicas, data_dir=data_dir, seed=settings.seed)
    runner = steps.SyncStepRunner(strategy, state, step, strategy.distribute_datasets_from_function(pipeline))

    sizer = SegmentSizer()

    def run(count: int) -> float:
        waited, left = 0.0, count
        while left:
            start, part = time.monotonic(), min(left, sizer.count)
            runner.run(part)
            sizer.ran(part, time.monotonic() - start)
            waited, left = waited + runner.waited()[0], left - part
        return waited

    return Loop(run)


def handwritten(task: Task, strategy: tf.distribute.Strategy, settings: TrainerConfig, data_dir: str | None) -> Loop:
    """Return a loop as in the guides of TensorFlow: a function per step, which Python calls."""
    with strategy.scope():
        model, optimizer = task.model(), task.optimizer()
        if settings.precision == "mixed_float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
    replicas, global_batch = strategy.num_replicas_in_sync, settings.batch_size

    def forward_and_backward(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(task.loss(labels, model(images, training=True))) / global_batch
            scaled = optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, model.trainable_variables)

    compiled = tf.function(forward_and_backward, jit_compile=settings.jit_compile)

    def replica_step(batch: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        loss, gradients = compiled(*batch)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    @tf.function  # type: ignore[untyped-decorator]
    def train_step(iterator: tf.data.Iterator) -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(replica_step, (next(iterator),)), axis=None)

    def pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return task.dataset(_context(settings, replicas, data_dir, context), batches.TRAIN)

    iterator = iter(strategy.distribute_datasets_from_function(pipeline))

    def run(count: int) -> float:
        for _ in range(count):
            loss = train_step(iterator)
        float(loss)
        return 0.0

    return Loop(run)


def keras_fit(task: Task, strategy: tf.distribute.Strategy, settings: TrainerConfig, data_dir: str | None) -> Loop:
    """Return `Model.fit` of Keras."""
    with strategy.scope():
        model = task.model()
        model.compile(optimizer=task.optimizer(), loss=_mean_loss(task), jit_compile=settings.jit_compile)
    data = task.dataset(_context(settings, 1, data_dir), batches.TRAIN)

    def run(count: int) -> float:
        model.fit(data, steps_per_epoch=count, epochs=1, verbose=0)
        return 0.0

    return Loop(run)


LOOPS: Final[dict[str, Callable[..., Loop]]] = {"trainer": trainer, "handwritten": handwritten, "keras_fit": keras_fit}


def timed(loop: Loop, seconds: float) -> dict[str, float]:
    """Run `loop` for about `seconds` after its first steps; return the times in seconds and the share of waiting."""
    start = time.monotonic()
    loop.run(1)
    first = time.monotonic() - start
    loop.run(_WARM_UP)
    start = time.monotonic()
    loop.run(_WARM_UP)
    count = max(_WARM_UP, int(seconds * _WARM_UP / max(time.monotonic() - start, 1e-6)))
    start = time.monotonic()
    waited = loop.run(count)
    passed = time.monotonic() - start
    return {"firstStepSeconds": first, "secondsPerStep": passed / count, "inputWaitShare": waited / passed}


def _mean_loss(task: Task) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the loss of `task` in the form of Keras."""

    def loss(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        return task.loss(tf.cast(labels, tf.int64), outputs)  # Keras makes all labels floating-point numbers

    return loss


def _context(
    settings: TrainerConfig, replicas: int, data_dir: str | None, part: tf.distribute.InputContext | None = None
) -> DataContext:
    return DataContext(
        batch_size=settings.batch_size // replicas,
        pipelines=part.num_input_pipelines if part else 1,
        pipeline=part.input_pipeline_id if part else 0,
        seed=settings.seed,
        data_dir=data_dir,
    )
