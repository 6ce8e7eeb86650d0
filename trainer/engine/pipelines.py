"""The input pipelines of the training: their shares of the data, their random orders and where they continue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import tensorflow as tf

from trainer import inputs
from trainer.engine import batches
from trainer.runtime.config import TrainerConfig
from trainer.runtime.logs import log
from trainer.runtime.types import Dataset
from trainer.task import DataContext, Task

_SEEDS: Final = 2**31


def pipeline_function(
    task: Task, settings: TrainerConfig, *, replicas: int, data_dir: str | None, seed: int | None, step: int = 0
) -> Callable[[tf.distribute.InputContext], tf.data.Dataset]:
    """Return the function that builds the training data of one input pipeline.

    Args:
        task: The user's task.
        settings: The settings of the trainer.
        replicas: The number of replicas, which share the batch.
        data_dir: DATA_DIR, the directory of the data; None if the run has none.
        seed: The seed of the run, which is that of the first pipeline; None for an unseeded order.
        step: The number of steps done: the data continue with the batches of the next step. Without a seed, the order
            is another one at each start, and the data have no place at which they continue.

    """

    def build_pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        pipelines, pipeline = context.num_input_pipelines, context.input_pipeline_id
        part = DataContext(
            batch_size=replica_batch(settings.batch_size, replicas, pipelines, pipeline),
            pipelines=pipelines,
            pipeline=pipeline,
            seed=None if seed is None else seed + pipeline,
            data_dir=data_dir,
        )
        if seed is None:
            with inputs.unseeded():
                return batches.checked(
                    task.dataset(part, batches.TRAIN), split=batches.TRAIN, batch_size=part.batch_size
                )
        start = step * replicas // pipelines
        return _from(start, task, part, seed, after=settings.seed)

    # AutoGraph would convert the code of the task under ParameterServer and under no other strategy.
    unconverted: Callable[[tf.distribute.InputContext], tf.data.Dataset]
    unconverted = tf.autograph.experimental.do_not_convert(build_pipeline)
    return unconverted


def replica_batch(batch_size: int, replicas: int, pipelines: int, pipeline: int) -> int:
    """Return the examples per step of each replica of one input pipeline.

    If `batch_size` is not a multiple of the replicas, the first pipelines have one more example per replica. The shares
    are exact, because the loss of a replica is its sum divided by the batch size of all.
    """
    share, rest = divmod(batch_size, replicas)
    return share + (pipeline * (replicas // pipelines) < rest) if rest else share


def _from(start: int, task: Task, part: DataContext, seed: int, *, after: int) -> Dataset:
    """Return the training data of a pipeline without its first `start` batches.

    The datasets of `trainer.inputs` begin at any batch. All others are read up to `start`. For these, random operations
    without a seed of their own must repeat, so that the order is the same one. For the former, they must not repeat.
    """
    with _global_seed(seed, part.pipeline, after=after):
        found = task.dataset(part, batches.TRAIN)
    dataset = batches.checked(found, split=batches.TRAIN, batch_size=part.batch_size)
    if not start:
        return dataset
    if inputs.begins_anywhere(found):
        with _global_seed(seed, part.pipeline, start, after=after):
            found = task.dataset(replace(part, start=start), batches.TRAIN)
        return batches.checked(found, split=batches.TRAIN, batch_size=part.batch_size)
    log.info(
        "reading %d batches of the training data again and leaving them out, because the run has seen them. Data from "
        "inputs.read_records(...).repeat() with only map, zip, batch and prefetch continue without this",
        start,
    )
    return dataset.skip(start)


@contextmanager
def _global_seed(*numbers: int, after: int) -> Iterator[None]:
    """Set TensorFlow's global seed, which decides random operations without a seed, inside the `with` block.

    Args:
        numbers: The seed is a hash of these numbers.
        after: The global seed after the block.

    """
    text = " ".join(map(str, numbers))
    tf.random.set_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % _SEEDS)
    try:
        yield
    finally:
        tf.random.set_seed(after)
