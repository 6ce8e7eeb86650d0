from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from trainer.runtime import descriptors
from trainer.storage.checkpoints import (
    Checkpoints,
    DamagedError,
    all_complete,
    incomplete,
    keep,
    newest_complete,
    remove_partial,
    restore_model,
    set_aside,
)


def test_newest_checkpoint_has_the_highest_step(checkpoint_files: Callable[..., Path]) -> None:
    directory = str(checkpoint_files(200, 1000, 30))
    assert [found.step for found in all_complete(directory)] == [30, 200, 1000]
    newest = newest_complete(directory)
    assert newest is not None
    assert newest.path == f"{directory}/ckpt-1000"


def test_checkpoint_without_its_index_is_incomplete(checkpoint_files: Callable[..., Path]) -> None:
    directory = checkpoint_files(30, 60)
    (directory / "ckpt-60.index").unlink()
    assert [found.step for found in all_complete(str(directory))] == [30]


def test_checkpoint_without_a_data_file_is_incomplete(checkpoint_files: Callable[..., Path]) -> None:
    directory = checkpoint_files(30, 60, shards=3)
    (directory / "ckpt-60.data-00001-of-00003").unlink()
    assert [found.step for found in all_complete(str(directory))] == [30]


def test_files_of_an_interrupted_save_are_not_a_checkpoint(checkpoint_files: Callable[..., Path]) -> None:
    directory = checkpoint_files(30)
    (directory / "ckpt-60_temp").mkdir()
    (directory / "ckpt-60.index.tempstate123").write_text("")
    (directory / "checkpoint").write_text("")
    assert [found.step for found in all_complete(str(directory))] == [30]


def test_missing_directory_contains_no_checkpoint(tmp_path: Path) -> None:
    assert newest_complete(str(tmp_path / "nothing")) is None


def test_incomplete_checkpoints_are_listed_and_partial_saves_deleted(
    checkpoint_files: Callable[..., Path],
) -> None:
    directory = checkpoint_files(30, 60, 90)
    (directory / "ckpt-60.index").unlink()
    (directory / "ckpt-90.data-00000-of-00001").unlink()
    (directory / "ckpt-120_temp").mkdir()
    (directory / "ckpt-120_temp" / "part-00000-of-00001.data").write_text("")
    assert incomplete(str(directory)) == [60, 90, 120]
    remove_partial(str(directory))
    assert incomplete(str(directory)) == [60, 90]
    set_aside(all_complete(str(directory))[0])
    assert all_complete(str(directory)) == []


@pytest.fixture(autouse=True)
def _no_pause_before_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.storage.checkpoints._SECOND_LOOK_SECONDS", 0.0)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[tf.Variable, Checkpoints]:
    """Two checkpoints of one variable, whose value is their step."""
    value = tf.Variable([0.0] * 1000)
    saver = Checkpoints(str(tmp_path / "checkpoints"), keep=3, writer=True, on_chief=False, value=value)
    for step in (10, 20):
        value.assign([float(step)] * 1000)
        saver.save(step)
    return value, saver


@pytest.mark.parametrize("cut", [0, 1, 100, 3000])
@pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
def test_truncated_file_raises_damaged_error(saved: tuple[tf.Variable, Checkpoints], cut: int, part: str) -> None:
    value, saver = saved
    path = Path(saver.directory) / f"ckpt-20.{part}"
    os.truncate(path, min(cut, path.stat().st_size - 1))
    with pytest.raises(DamagedError):
        saver.restore(f"{saver.directory}/ckpt-20")
    saver.restore(f"{saver.directory}/ckpt-10")
    assert float(value[999]) == 10


def test_overwritten_bytes_raise_damaged_error(saved: tuple[tf.Variable, Checkpoints]) -> None:
    _, saver = saved
    path = Path(saver.directory) / "ckpt-20.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        saver.restore(f"{saver.directory}/ckpt-20")


def test_best_checkpoint_replaces_the_previous_one(saved: tuple[tf.Variable, Checkpoints], tmp_path: Path) -> None:
    value, saver = saved
    best = str(tmp_path / "best")
    for found in all_complete(saver.directory):
        assert keep(found, best) == f"{best}/ckpt-{found.step}"
    assert [found.step for found in all_complete(best)] == [20]
    assert tf.train.latest_checkpoint(best) == f"{best}/ckpt-20"
    value.assign([0.0] * 1000)
    tf.train.Checkpoint(value=value).restore(f"{best}/ckpt-20").expect_partial()
    assert float(value[0]) == 20


def test_best_checkpoint_stays_when_the_next_one_was_deleted(
    saved: tuple[tf.Variable, Checkpoints], tmp_path: Path
) -> None:
    _, saver = saved
    best = str(tmp_path / "best")
    first, second = all_complete(saver.directory)
    keep(first, best)
    (Path(saver.directory) / "ckpt-20.index").unlink()
    assert keep(second, best) is None
    assert [found.step for found in all_complete(best)] == [10]


@pytest.mark.parametrize("through", [descriptors.PATHS_LEAD_THROUGH, False])
@pytest.mark.parametrize("name", ["a[b]", "[", "]", "*", "?", "a*[!b]?c", "{a,b}", "a b"])
def test_letters_of_patterns_in_a_path_are_literal(
    tmp_path: Path, name: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "PATHS_LEAD_THROUGH", through)
    model = tf.Module()
    model.trainable_weight = tf.Variable([1.0])
    saver = Checkpoints(
        str(tmp_path / name / "c"), keep=3, writer=True, on_chief=False, model=model, step=tf.Variable(5)
    )
    saver.save(5)
    found = newest_complete(saver.directory)
    assert found is not None
    model.trainable_weight.assign([2.0])
    saver.restore(found.path)
    assert float(model.trainable_weight[0]) == 1
    model.trainable_weight.assign([2.0])
    saver.restore_parts(found.path, model=model)
    restore_model(found.path, model)
    assert float(model.trainable_weight[0]) == 1
    best = str(tmp_path / name / "best")
    assert keep(found, best) == f"{best}/ckpt-5"
