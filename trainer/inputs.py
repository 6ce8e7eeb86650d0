"""Helpers for `Task.dataset`: which files this pipeline reads and in which order.

    def dataset(self, context, split):
        training = split == "train"
        paths = inputs.find_files(context.data_dir, "train-*" if training else "validation-*")
        data = inputs.read_records(paths, context, shuffle=10_000 if training else 0)
        data = data.repeat() if training else data
        return data.batch(context.batch_size, drop_remainder=training).map(parse).prefetch(tf.data.AUTOTUNE)

The order under a seed is the same each time; another seed gives another order. The trainer changes the seed with the
step that a run continues from, so a resumed run sees other examples first than the ones it has seen last.
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
        ConfigError: there is none.

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
    """Return a dataset of the file names of which this pipeline reads all records: every `pipelines`-th one.

    With `shuffle` their order is drawn again for each epoch, from `context.seed`.

    Raises:
        ValueError: there are fewer files than pipelines, so that one would have nothing to read.

    """
    share = sorted(paths)[context.pipeline :: context.pipelines]
    if not share:
        raise ValueError(
            f"{len(paths)} files cannot be shared out to {context.pipelines} input pipelines: "
            "write at least one file per worker, better 4 or more, or use read_records, which shares out records"
        )
    names = tf.data.Dataset.from_tensor_slices(share)
    return names.shuffle(len(share), seed=context.seed) if shuffle else names


def read_records(paths: Sequence[str], context: DataContext, *, shuffle: int) -> Dataset:
    """Return the serialized records of the TFRecord files that this pipeline reads, once.

    `shuffle` is the number of records in the shuffle buffer; 0 keeps the order of the files, for the evaluation.
    With fewer files than pipelines each pipeline reads all files and takes every `pipelines`-th record.
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
    # All pipelines must see the files in the same order, or two of them would take the same record.
    return DataContext(batch_size=context.batch_size, seed=0)


def example_seeds(context: DataContext) -> Dataset:
    """Return an endless dataset of seeds `[2]` int64, for `tf.random.stateless_*`: zip it with examples to augment.

    Unlike the plain random operations they stay the same under a seed, however many threads augment.
    """
    return tf.data.Dataset.random(seed=context.seed).batch(2, drop_remainder=True)


def first_seed(context: DataContext) -> Tensor:
    """Return `context.seed`; without one a number that each pipeline draws for itself when it starts."""
    if context.seed is not None:
        return tf.constant(context.seed, tf.int64)
    return tf.random.uniform([], maxval=2**62, dtype=tf.int64)


@contextmanager
def unseeded() -> Iterator[None]:
    """Let random operations made within, in a graph, draw their own order each time they start.

    A ParameterServer run builds one input graph, and all its workers run it: under the run's global seed all would read
    the same examples in the same order.
    """
    graph = tf.compat.v1.get_default_graph()
    seed, graph.seed = graph.seed, None
    try:
        yield
    finally:
        graph.seed = seed
