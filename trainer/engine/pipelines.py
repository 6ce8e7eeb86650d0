"""The input pipelines of the training: their shares of the data and their random orders."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import tensorflow as tf

from trainer import inputs
from trainer.engine import batches
from trainer.runtime.config import TrainerConfig
from trainer.task import DataContext, Task


def pipeline_function(
    task: Task, settings: TrainerConfig, *, replicas: int, data_dir: str | None, seed: int | None
) -> Callable[[tf.distribute.InputContext], tf.data.Dataset]:
    """Return the function that builds the training data of one input pipeline.

    Args:
        task: The user's task.
        settings: The settings of the trainer.
        replicas: The number of replicas, which share the batch.
        data_dir: DATA_DIR, the directory of the data; None if the run has none.
        seed: The seed of the first pipeline; None for an unseeded order.

    """

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
        return batches.checked(dataset, split=batches.TRAIN, batch_size=part.batch_size)

    # AutoGraph would convert the code of the task under ParameterServer and under no other strategy.
    unconverted: Callable[[tf.distribute.InputContext], tf.data.Dataset]
    unconverted = tf.autograph.experimental.do_not_convert(build_pipeline)
    return unconverted
