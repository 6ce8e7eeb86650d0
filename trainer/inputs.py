"""Helpers for `Task.dataset`: they select the files of an input pipeline and their order.

    def dataset(self, context, split):
        training = split == "train"
        paths = inputs.find_files(context.data_dir, "train-*" if training else "validation-*")
        data = inputs.read_records(paths, context, shuffle=10_000 if training else 0)
        data = data.repeat() if training else data
        return data.batch(context.batch_size, drop_remainder=training).map(parse).prefetch(tf.data.AUTOTUNE)

The same seed always gives the same order, and another seed gives another order. When a run resumes, it continues where
it stopped: it has seen each record of an epoch once, however often it was restarted.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import tensorflow as tf

from trainer.runtime.errors import NOTHING, ConfigError, Words
from trainer.runtime.logs import log
from trainer.runtime.types import Dataset, Tensor
from trainer.storage import files, tfrecords
from trainer.storage.tfrecords import Part
from trainer.task import DataContext

_FILES_AT_ONCE: Final = 8
_EPOCH: Final = 2**32
"""Distance between the seeds of two epochs, greater than that between the seeds of two pipelines."""
_ONE_TO_ONE: Final = frozenset(
    {
        "_AssertCardinalityDataset",
        "_MapDataset",
        "_OptionsDataset",
        "_ParallelMapDataset",
        "_PrefetchDataset",
        "_ZipDataset",
    }
)
"""Datasets that yield one element for each element of each of their inputs."""
_BATCHES: Final = frozenset({"_BatchDataset", "_ParallelBatchDataset"})


def find_files(data_dir: str | None, pattern: str) -> list[str]:
    """Return the paths in `data_dir` (local or gs://) that match `pattern`, sorted.

    Raises:
        ConfigError: DATA_DIR is not set, or no file matches.

    """
    if not data_dir:
        raise ConfigError(
            "DATA_DIR", got=NOTHING, expected="the directory of the task's files", fix="Set data.claim or data.uri"
        )
    paths = sorted(_matches(data_dir, pattern))
    if not paths:
        raise ConfigError(
            "DATA_DIR",
            got=data_dir,
            expected=f"a directory with files that match {pattern}",
            fix="Set data to the directory with these files",
        )
    return paths


def _matches(data_dir: str, pattern: str) -> list[str]:
    """Return the paths that match `pattern` in `data_dir`, whose own brackets and stars have no special meaning."""
    if files.is_remote(data_dir):
        return list(tf.io.gfile.glob(files.join(glob.escape(data_dir), pattern)))
    return [files.join(data_dir, name) for name in glob.glob(pattern, root_dir=data_dir)]  # noqa: PTH207 - as gfile.glob


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

    The pipelines divide the files. If the files do not divide evenly, they divide the records of the remaining files.
    `repeat()`, called on the result itself, shuffles each epoch in another order. When a run resumes, it continues with
    the first record that the run has not seen in this epoch.

    Args:
        paths: The TFRecord files of the split, without compression.
        context: The context from `Task.dataset`.
        shuffle: Number of records in the shuffle buffer. 0 keeps the order of the files, for the evaluation.

    Raises:
        ConfigError: a file is not a TFRecord file.

    """
    share = tfrecords.share(paths, context.pipelines, context.pipeline)
    tfrecords.check([part.path for part in share])
    one_epoch = _epoch(share, shuffle, context.seed)

    def repeat(count: int | None = None, name: str | None = None) -> Dataset:
        if count not in (None, -1):
            return tf.data.Dataset.repeat(one_epoch, count, name)
        return _endless(share, context, shuffle)

    # tf.data repeats an epoch from its head. Only a repetition of the records themselves can begin in the middle.
    one_epoch.repeat = repeat
    return one_epoch


def _epoch(share: Sequence[Part], shuffle: int, seed: Tensor | int | None) -> Dataset:
    """Return the records of one epoch, in an order that `seed` and TensorFlow's global seed determine."""
    names = tf.data.Dataset.from_tensor_slices(
        ([part.path for part in share], [part.every for part in share], [part.first for part in share])
    )
    if shuffle:
        names = names.shuffle(len(share), seed=seed)
    whole = all(part.every == 1 for part in share)

    def read(path: Tensor, every: Tensor, first: Tensor) -> Dataset:
        data = tf.data.TFRecordDataset(path)
        return data if whole else data.shard(tf.cast(every, tf.int64), tf.cast(first, tf.int64))

    found = names.interleave(
        read,
        cycle_length=min(_FILES_AT_ONCE, len(share)) if shuffle else 1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return found.shuffle(shuffle, seed=seed) if shuffle else found


def _endless(share: Sequence[Part], context: DataContext, shuffle: int) -> Dataset:
    """Return the records of all epochs from `context.start` on."""
    if tf.executing_eagerly() and next(iter(_epoch(share, 0, None)), None) is None:
        raise ConfigError(
            "DATA_DIR",
            got=Words(f"no record for input pipeline {context.pipeline} in {share[0].path} and its neighbors"),
            expected=f"at least {context.pipelines} records",
            fix="Set data to the directory with the records",
        )
    first, past = tfrecords.position(share, context.start * context.batch_size)
    seed = first_seed(context)

    def epoch(number: Tensor) -> Dataset:
        with (
            unseeded()
        ):  # Only the seed of the context may determine the order, because it stays the same at a restart.
            return _epoch(share, shuffle, seed + number * _EPOCH)

    endless = tf.data.Dataset.counter(first).flat_map(epoch)
    if past:
        log.info("the training data continue in epoch %d after %d records", first, past)
        endless = endless.skip(past)
    return _stream(endless, context.batch_size)


def example_seeds(context: DataContext) -> Dataset:
    """Return an endless dataset of seeds `[2]` int64 for `tf.random.stateless_*`.

    Zip it with the examples to augment. The results do not depend on the number of threads, unlike those of the other
    random operations.
    """
    seed = first_seed(context)
    numbers = tf.data.Dataset.counter(context.start * context.batch_size)
    return _stream(numbers.map(lambda number: tf.stack([seed, number])), context.batch_size)


def batch_numbers(context: DataContext) -> Dataset:
    """Return the endless dataset of the numbers of this pipeline's batches, scalars int64, for data that are computed.

    All pipelines together count 0, 1, 2, .... When a run resumes, it continues with the next number.
    """
    first = context.pipeline + context.start * context.pipelines
    return _stream(tf.data.Dataset.counter(first, context.pipelines), 1)


def _stream(dataset: Dataset, per_batch: int) -> Dataset:
    """Return the endless `dataset`, marked as one that begins after `context.start` batches of `per_batch` elements."""
    endless = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    endless.elements_per_batch = per_batch
    return endless


def begins_anywhere(dataset: Dataset, taken: int = 1) -> bool:
    """Return whether each batch of `dataset` is made of the next elements of a dataset of this module.

    Only then `context.start` batches are a known number of elements. A filter, for example, takes an unknown number.

    Args:
        dataset: The result of `Task.dataset`.
        taken: The number of elements of `dataset` in a batch.

    """
    if (per_batch := getattr(dataset, "elements_per_batch", None)) is not None:
        return bool(taken == per_batch)
    kind = type(dataset).__name__
    if kind in _BATCHES:
        shape = tf.nest.flatten(dataset.element_spec)[0].shape
        if not shape.rank or shape[0] is None:
            return False
        taken *= shape[0]
    elif kind not in _ONE_TO_ONE:
        return False
    sources = dataset._inputs()
    return bool(sources) and all(begins_anywhere(each, taken) for each in sources)


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
