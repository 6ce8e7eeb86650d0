"""The division of files and records among input pipelines, and their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from trainer import inputs
from trainer.engine import pipelines
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError
from trainer.task import DataContext

FILES, EACH = 6, 10


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Paths of TFRecord files with records `<file>-<record>`."""
    for number in range(FILES):
        with tf.io.TFRecordWriter(str(tmp_path / f"train-{number}")) as writer:
            for record in range(EACH):
                writer.write(f"{number}-{record}".encode())
    return inputs.find_files(str(tmp_path), "train-*")


def context(seed: int | None = 1, pipeline: int = 0, pipelines: int = 1) -> DataContext:
    return DataContext(batch_size=1, seed=seed, pipeline=pipeline, pipelines=pipelines)


def order(paths: list[str], context: DataContext, shuffle: int = 20, epochs: int = 1) -> list[str]:
    data = inputs.read_records(paths, context, shuffle=shuffle).repeat(epochs)
    return [record.numpy().decode() for record in data]


def everything() -> list[str]:
    return sorted(f"{number}-{record}" for number in range(FILES) for record in range(EACH))


def test_seed_determines_the_order_of_the_records(paths: list[str]) -> None:
    first = order(paths, context(seed=1), epochs=2)
    assert first == order(paths, context(seed=1), epochs=2)
    assert first != order(paths, context(seed=2), epochs=2)
    assert sorted(first[: FILES * EACH]) == everything()
    assert first[: FILES * EACH] != first[FILES * EACH :], "each epoch has another order"


def test_records_keep_their_order_without_shuffling(paths: list[str]) -> None:
    assert order(paths, context(seed=None), shuffle=0) == everything()


@pytest.mark.parametrize("pipelines", [1, 2, 4, 6, 7, 10])
@pytest.mark.parametrize("shuffle", [0, 20])
def test_pipelines_together_read_every_record_once(paths: list[str], pipelines: int, shuffle: int) -> None:
    """The pipelines divide the files, and the records of the files that remain."""
    shares = [order(paths, context(seed=n, pipeline=n, pipelines=pipelines), shuffle) for n in range(pipelines)]
    assert sorted(record for share in shares for record in share) == everything()
    if FILES % pipelines == 0:
        files = [{record.partition("-")[0] for record in share} for share in shares]
        assert sum(len(each) for each in files) == FILES, "two pipelines must not read the same file"


def test_shard_files_refuses_fewer_files_than_pipelines(paths: list[str]) -> None:
    with pytest.raises(ValueError, match=r"2 files cannot be divided among 3 input pipelines. Write at least one"):
        inputs.shard_files(paths[:2], context(pipeline=2, pipelines=3))


def test_refusal_names_the_pattern_of_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a directory with files that match train-\*"):
        inputs.find_files(str(tmp_path), "train-*")
    with pytest.raises(ConfigError, match="DATA_DIR: got nothing"):
        inputs.find_files(None, "train-*")


@pytest.mark.parametrize("folder", ["run[1]", "a*b", "what?", "[ab]"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_data_directory_may_contain_glob_letters(tmp_path: Path, folder: str, scheme: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "train-1").touch()
    (tmp_path / folder / "other").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train-2").touch()
    data_dir = f"{scheme}{tmp_path}/{folder}"
    assert inputs.find_files(data_dir, "train-*") == [f"{data_dir}/train-1"]


def test_file_that_is_not_a_tfrecord_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "train-0").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConfigError, match="train-0: got a git-lfs pointer; expected a TFRecord file"):
        order([str(tmp_path / "train-0")], context())


class Files:
    """The `dataset` method of a task that reads files."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def dataset(self, context: DataContext, split: str) -> tf.data.Dataset:
        records = inputs.read_records(self._paths, context, shuffle=60)
        return records.map(lambda record: (record, record)).batch(context.batch_size, drop_remainder=True)


def from_pipeline(paths: list[str], seed: int | None) -> Callable[[], list[bytes]]:
    """Return a function that builds and reads the pipeline in a graph, as a worker of a ParameterServer run does."""
    function = pipelines.pipeline_function(
        Files(paths),
        TrainerConfig(batch_size=FILES * EACH),
        replicas=1,
        data_dir=None,
        seed=seed,  # type: ignore[arg-type]
    )

    @tf.function
    def read() -> tf.Tensor:
        data = function(tf.distribute.InputContext())
        records, _ = tf.data.Dataset.get_single_element(data)
        return records

    return lambda: list(read().numpy())


def test_workers_of_a_parameter_server_run_read_in_different_orders(paths: list[str]) -> None:
    tf.random.set_seed(0)
    worker = from_pipeline(paths, seed=None)
    one, other = worker(), worker()
    assert one != other
    assert sorted(one) == sorted(other) == [each.encode() for each in everything()]
    same = from_pipeline(paths, seed=5)
    assert same() == same(), "a seed would give all workers the same order"


def test_first_seed_is_the_seed_of_the_context_or_random() -> None:
    assert int(inputs.first_seed(context(seed=5))) == 5

    @tf.function
    def draw() -> tf.Tensor:
        with inputs.unseeded():
            return inputs.first_seed(context(seed=None))

    tf.random.set_seed(0)
    assert int(draw()) != int(draw())


def test_example_seeds_depend_on_the_seed_and_differ_per_example() -> None:
    def first(seed: int) -> list[list[int]]:
        return [each.numpy().tolist() for each in inputs.example_seeds(context(seed=seed)).take(3)]

    assert first(1) == first(1) != first(2)
    assert len({tuple(each) for each in first(1)}) == 3
