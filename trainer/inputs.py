"""Helpers for `Task.dataset`: they select the files of an input pipeline and their order.

    def dataset(self, context, split):
        training = split == "train"
        paths = inputs.find_files(context.data_dir, "train-*" if training else "validation-*")
        data = inputs.read_records(paths, context, shuffle=10_000 if training else 0)
        data = data.repeat() if training else data
        return data.batch(context.batch_size, drop_remainder=training).map(parse).prefetch(tf.data.AUTOTUNE)

The same seed always gives the same order, and another seed gives another order. When a run resumes, the trainer derives
a new seed from the step. Therefore the run does not read the same examples again in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import tensorflow as tf

from trainer.runtime.errors import NOTHING, ConfigError
from trainer.runtime.types import Dataset, Tensor
from trainer.storage import files
from trainer.task import DataContext

_FILES_AT_ONCE: Final = 8


def find_files(data_dir: str | None, pattern: str) -> list[str]:
    """Return the paths in `data_dir` (local or gs://) that match `pattern`, sorted.

    Raises:
        ConfigError: DATA_DIR is not set, or no file matches.

    """
    if not data_dir:
        raise ConfigError(
            "DATA_DIR", got=NOTHING, expected="the directory of the task's files", fix="Set data.claim or data.uri"
        )
    paths = sorted(tf.io.gfile.glob(files.join(data_dir, pattern)))
    if not paths:
        raise ConfigError(
            "DATA_DIR",
            got=data_dir,
            expected=f"a directory with files that match {pattern}",
            fix="Set data to the directory with these files",
        )
    return paths


def shard_files(paths: Sequence[str], context: DataContext, *, shuffle: bool = True) -> Dataset:
    """Return a dataset of the file names that this pipeline reads: every `pipelines`-th of the sorted `paths`.

    Args:
        paths: The files of the split.
        context: The context from `Task.dataset`.
        shuffle: Whether to shuffle the names again for each epoch, with `context.seed`.

    Raises:
        ValueError: there are fewer files than pipelines, so that a pipeline would read nothing.

    """
    share = sorted(paths)[context.pipeline :: context.pipelines]
    if not share:
        raise ValueError(
            f"{len(paths)} files cannot be divided among {context.pipelines} input pipelines. "
            "Write at least one file per worker, better 4 or more, or use read_records, which divides the records"
        )
    names = tf.data.Dataset.from_tensor_slices(share)
    return names.shuffle(len(share), seed=context.seed) if shuffle else names


def read_records(paths: Sequence[str], context: DataContext, *, shuffle: int) -> Dataset:
    """Return a dataset of this pipeline's serialized records, for one epoch.

    If there are fewer files than pipelines, each pipeline reads all files and keeps every `pipelines`-th record.

    Args:
        paths: The TFRecord files of the split.
        context: The context from `Task.dataset`.
        shuffle: Number of records in the shuffle buffer. 0 keeps the order of the files, for the evaluation.

    """
    by_file = len(paths) >= context.pipelines
    names = shard_files(paths, context if by_file else _alone(context), shuffle=bool(shuffle))
    records = names.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(_FILES_AT_ONCE, len(paths)) if shuffle else 1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if not by_file:
        records = records.shard(context.pipelines, context.pipeline)
    return records.shuffle(shuffle, seed=context.seed) if shuffle else records


def _alone(context: DataContext) -> DataContext:
    # All pipelines must read the files in the same order. Otherwise two of them would keep the same record.
    return DataContext(batch_size=context.batch_size, seed=0)


def example_seeds(context: DataContext) -> Dataset:
    """Return an endless dataset of seeds `[2]` int64 for `tf.random.stateless_*`.

    Zip it with the examples to augment. The results do not depend on the number of threads, unlike those of the other
    random operations.
    """
    return tf.data.Dataset.random(seed=context.seed).batch(2, drop_remainder=True)


def first_seed(context: DataContext) -> Tensor:
    """Return `context.seed` as int64. If it is None, return a random number, a new one at each start of a pipeline."""
    if context.seed is not None:
        return tf.constant(context.seed, tf.int64)
    return tf.random.uniform([], maxval=2**62, dtype=tf.int64)


@contextmanager
def unseeded() -> Iterator[None]:
    """Remove the seed of the current graph within the block, so that its random operations differ at each start.

    In a ParameterServer run all workers run the same input graph. With the run's global seed, all workers would read
    the same examples in the same order.
    """
    graph = tf.compat.v1.get_default_graph()
    seed, graph.seed = graph.seed, None
    try:
        yield
    finally:
        graph.seed = seed
