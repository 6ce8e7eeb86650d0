from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainer.checkpoints import all_complete, newest_complete


def test_the_newest_by_number_not_by_name(checkpoint_files: Callable[..., Path]) -> None:
    directory = str(checkpoint_files(200, 1000, 30))
    assert [found.step for found in all_complete(directory)] == [30, 200, 1000]
    newest = newest_complete(directory)
    assert newest is not None
    assert newest.path == f"{directory}/ckpt-1000"


def test_without_its_index_a_checkpoint_is_not_complete(checkpoint_files: Callable[..., Path]) -> None:
    directory = checkpoint_files(30, 60)
    (directory / "ckpt-60.index").unlink()
    assert [found.step for found in all_complete(str(directory))] == [30]


def test_without_all_its_data_a_checkpoint_is_not_complete(checkpoint_files: Callable[..., Path]) -> None:
    directory = checkpoint_files(30, 60, shards=3)
    (directory / "ckpt-60.data-00001-of-00003").unlink()
    assert [found.step for found in all_complete(str(directory))] == [30]


def test_what_a_killed_save_leaves_behind_is_no_checkpoint(checkpoint_files: Callable[..., Path]) -> None:
    directory = checkpoint_files(30)
    (directory / "ckpt-60_temp").mkdir()
    (directory / "ckpt-60.index.tempstate123").write_text("")
    (directory / "checkpoint").write_text("")
    assert [found.step for found in all_complete(str(directory))] == [30]


def test_no_directory_no_checkpoint(tmp_path: Path) -> None:
    assert newest_complete(str(tmp_path / "nothing")) is None
