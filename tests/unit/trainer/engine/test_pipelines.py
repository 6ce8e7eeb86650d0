"""A run that restarts continues in its data: each record of an epoch is seen once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer import inputs
from trainer.engine import pipelines
from trainer.runtime.config import TrainerConfig
from trainer.task import DataContext

RECORDS = 120


def write(folder: Path, files: int, number: int = RECORDS) -> list[str]:
    """Write TFRecord files with the records 0 to `number - 1`."""
    folder.mkdir(exist_ok=True)
    for file in range(files):
        with tf.io.TFRecordWriter(str(folder / f"train-{file:02}")) as writer:
            for record in range(file, number, files):
                writer.write(str(record).encode())
    return inputs.find_files(str(folder), "train-*")


def parsed(record: Any) -> tuple[Any, Any]:
    number = tf.strings.to_number(record, tf.int64)
    return number, number


def all_of(context: DataContext) -> tf.data.Dataset:
    return tf.data.Dataset.range(RECORDS).shard(context.pipelines, context.pipeline)


def batched(data: tf.data.Dataset, context: DataContext) -> tf.data.Dataset:
    return data.batch(context.batch_size, drop_remainder=True)


Build = Callable[[list[str], DataContext], Any]


def of_records(paths: list[str], context: DataContext) -> tf.data.Dataset:
    """Read as docs/writing-a-task.md does."""
    data = inputs.read_records(paths, context, shuffle=30).repeat()
    return data.batch(context.batch_size, drop_remainder=True).map(parsed).prefetch(2)


def of_records_with_seeds(paths: list[str], context: DataContext) -> tf.data.Dataset:
    data = tf.data.Dataset.zip(inputs.read_records(paths, context, shuffle=30).repeat(), inputs.example_seeds(context))
    return batched(data.map(lambda record, _: parsed(record), num_parallel_calls=2), context)


def of_records_repeated_later(paths: list[str], context: DataContext) -> tf.data.Dataset:
    return batched(inputs.read_records(paths, context, shuffle=30).map(parsed).repeat(), context)


def of_cached_records(paths: list[str], context: DataContext) -> tf.data.Dataset:
    return batched(inputs.read_records(paths, context, shuffle=30).cache().repeat().map(parsed), context)


def of_records_that_pass_a_filter(paths: list[str], context: DataContext) -> tf.data.Dataset:
    data = inputs.read_records(paths, context, shuffle=30).repeat().map(parsed)
    return batched(data.filter(lambda number, _: number % 3 > 0), context)


def of_several_examples_per_record(paths: list[str], context: DataContext) -> tf.data.Dataset:
    data = inputs.read_records(paths, context, shuffle=30).repeat().map(parsed)
    return batched(data.flat_map(lambda x, _: tf.data.Dataset.from_tensors((x, x)).repeat(2)), context)


def of_records_in_pairs(paths: list[str], context: DataContext) -> tf.data.Dataset:
    pairs = inputs.read_records(paths, context, shuffle=30).repeat().map(parsed)
    return pairs.batch(2 * context.batch_size, drop_remainder=True).map(lambda x, y: (x[::2], x[1::2]))


def of_files(paths: list[str], context: DataContext) -> tf.data.Dataset:
    names = inputs.shard_files(paths, context)
    return batched(
        names.interleave(tf.data.TFRecordDataset).map(parsed).shuffle(9, seed=context.seed).repeat(), context
    )


def in_memory_with_a_seed(_: list[str], context: DataContext) -> tf.data.Dataset:
    return batched(all_of(context).shuffle(RECORDS, seed=context.seed).repeat().map(lambda x: (x, x)), context)


def in_memory_without_a_seed(_: list[str], context: DataContext) -> tf.data.Dataset:
    return batched(all_of(context).shuffle(RECORDS).repeat().map(lambda x: (x, x)), context)


def from_a_generator(_: list[str], context: DataContext) -> tf.data.Dataset:
    def numbers() -> Iterator[int]:
        for _ in itertools.count():
            yield from range(context.pipeline, RECORDS, context.pipelines)

    data = tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec([], tf.int64))
    return batched(data.map(lambda x: (x, x)), context)


def computed(_: list[str], context: DataContext) -> tf.data.Dataset:
    each = tf.range(context.batch_size, dtype=tf.int64)
    numbers = inputs.batch_numbers(context).map(lambda number: (number * context.batch_size + each) % RECORDS)
    return numbers.map(lambda x: (x, x))


@dataclass
class Reading:
    """The `dataset` method of a task."""

    build: Build
    paths: list[str]

    def dataset(self, context: DataContext, split: str) -> Any:
        assert split == "train"
        return self.build(self.paths, context)


def started(reading: Any, *, step: int, batch: int = 4, count: int = 1, index: int = 0, seed: int = 7) -> Any:
    """Return the data of one pipeline of `count` after a start at `step`."""
    function = pipelines.pipeline_function(
        reading, TrainerConfig(batch_size=batch * count), replicas=count, data_dir=None, seed=seed, step=step
    )
    return function(tf.distribute.InputContext(num_input_pipelines=count, input_pipeline_id=index))


def seen(reading: Any, starts: list[int], **kwargs: Any) -> list[int]:
    """Return the records of a run with starts at the steps `starts`, of which the last is its end."""
    found: list[int] = []
    for step, end in itertools.pairwise(starts):
        data = started(reading, step=step, **kwargs).take(end - step)
        found += [int(number) for x, y in data for number in np.stack([x, y], axis=1)[:, 0]]
    return found


BUILDS = [
    of_records, of_records_with_seeds, of_records_repeated_later, of_cached_records, of_files, in_memory_with_a_seed,
    in_memory_without_a_seed, from_a_generator, computed,
]  # fmt: skip


@pytest.mark.parametrize("build", BUILDS)
def test_restarts_do_not_change_which_records_are_read(tmp_path: Path, build: Build) -> None:
    """The second of two pipelines reads two epochs and a half, without and with restarts."""
    reading = Reading(build, write(tmp_path, 8))
    whole = seen(reading, [0, 37], count=2, index=1)
    assert seen(reading, [0, 9, 23, 37], count=2, index=1) == whole
    if build is not computed:
        assert sorted(whole[:60]) == sorted(whole[60:120]), "each epoch must contain each record"


@pytest.mark.parametrize(
    "build", [of_records_that_pass_a_filter, of_several_examples_per_record, of_records_in_pairs]
)  # fmt: skip
def test_examples_that_are_not_one_per_record_continue_too(tmp_path: Path, build: Build) -> None:
    reading = Reading(build, write(tmp_path, 3))
    assert seen(reading, [0, 17, 40]) == seen(reading, [0, 40])


@pytest.mark.parametrize(
    ("build", "skips"),
    [(of_records, True), (of_records_with_seeds, True), (computed, True)]
    + [(build, False) for build in (of_records_repeated_later, of_cached_records, of_files, in_memory_with_a_seed)]
    + [(of_records_that_pass_a_filter, False), (of_several_examples_per_record, False), (of_records_in_pairs, False)],
)
def test_only_one_record_per_example_is_skipped_before_decoding(tmp_path: Path, build: Build, skips: bool) -> None:
    data = build(write(tmp_path, 8), DataContext(batch_size=4, seed=1))
    assert inputs.begins_anywhere(data) is skips


def test_data_that_are_read_again_are_logged(tmp_path: Path, lines: list[str]) -> None:
    started(Reading(of_cached_records, write(tmp_path, 1)), step=5)
    assert lines[0].startswith("reading 5 batches of the training data again and leaving them out")
    started(Reading(of_records, write(tmp_path, 1)), step=5)
    assert lines[1] == "the training data continue in epoch 0 after 20 records"


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.integers(1, 9), number=st.integers(10, 40), share=st.sampled_from([(1, 0), (2, 1), (3, 1)]), data=st.data()
)
def test_any_restarts_read_each_record_once_an_epoch(
    tmp_path: Path, files: int, number: int, share: tuple[int, int], data: st.DataObject
) -> None:
    count, index = share
    reading = Reading(of_records, write(tmp_path / f"{files}-{number}", files, number))
    one = DataContext(batch_size=1, pipelines=count, pipeline=index)
    epoch = [int(record.numpy()) for record in inputs.read_records(reading.paths, one, shuffle=0)]
    cuts = data.draw(st.lists(st.integers(0, 2 * len(epoch)), max_size=3))
    found = seen(reading, [0, *sorted(cuts), 2 * len(epoch)], count=count, index=index, batch=1)
    assert sorted(found[: len(epoch)]) == sorted(found[len(epoch) :]) == sorted(epoch)


def random_numbers(_: list[str], context: DataContext) -> tf.data.Dataset:
    return inputs.batch_numbers(context).map(lambda _: (tf.random.uniform([4], 0, 2**30, tf.int64),) * 2)


def shuffled(_: list[str], context: DataContext) -> tf.data.Dataset:
    return batched(tf.data.Dataset.range(RECORDS).shuffle(RECORDS).repeat().map(lambda x: (x, x)), context)


@pytest.mark.parametrize("build", [random_numbers, shuffled])
def test_randomness_without_a_seed_differs_between_workers_and_restarts(build: Build) -> None:
    tf.random.set_seed(3)  # the trainer sets the seed of the run
    reading = Reading(build, [])
    draws = [
        seen(reading, [0, 2], count=2, index=0),
        seen(reading, [0, 2], count=2, index=1),
        seen(reading, [2, 4], count=2, index=0),
        seen(reading, [2, 4], count=2, index=1),
    ]
    assert len({tuple(each) for each in draws}) == 4
    assert seen(reading, [0, 2], count=2, index=0) == draws[0], "a run with a seed is reproducible"
    assert seen(reading, [2, 4], count=2, index=0) == draws[2]
    assert seen(reading, [0, 2], count=2, index=0, seed=8) != draws[0]


def test_global_seed_after_a_pipeline_is_that_of_the_run() -> None:
    def draw() -> float:
        return float(tf.function(lambda: tf.random.uniform([]))())

    tf.random.set_seed(TrainerConfig().seed)
    before = draw()
    started(Reading(shuffled, []), step=3)
    assert draw() == before


def test_records_without_a_repetition_end_with_words_before_zeros_are_made(tmp_path: Path) -> None:
    from trainer.engine import batches

    def once(paths: list[str], context: DataContext) -> tf.data.Dataset:
        return batched(inputs.read_records(paths, context, shuffle=9).map(parsed), context)

    with pytest.raises(batches.InvalidData, match="got a dataset that ended"), batches.refusals():
        list(started(Reading(once, write(tmp_path, 2)), step=0))


@pytest.mark.parametrize(("batch", "workers", "devices"), [(64, 3, 1), (64, 2, 1), (66, 4, 2), (64, 5, 4), (8, 4, 2)])
def test_shares_of_a_batch_differ_by_one_example_per_replica_and_sum_up_to_it(
    batch: int, workers: int, devices: int
) -> None:
    shares = [pipelines.replica_batch(batch, workers * devices, workers, number) for number in range(workers)]
    assert sum(shares) * devices == batch
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)
