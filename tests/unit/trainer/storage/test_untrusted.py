"""A run directory in which another run of the same storage has written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.trainer.conftest import Clock
from trainer.roles.server import run_ended
from trainer.runtime.config import RunRecord
from trainer.runtime.errors import ConfigError
from trainer.storage import files, records
from trainer.storage.evaluation_record import EvaluationRecord
from trainer.storage.lease import Lease
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status

NAMES = ["run.json", "DONE", "status.json", "evaluation.json", "lease.json"]
SECRET = '{"run": "little", "hash": "sha256:1111", "step": 7, "restarts": 9, "token": "theirs", "beat": 1}'


@pytest.fixture
def run_dir(tmp_path: Path, record: RunRecord) -> RunDir:
    found = RunDir(str(tmp_path / "little"), record)
    files.make_directory(found.path)
    return found


def deep(levels: int) -> str:
    return '{"a": ' + "[" * levels + "]" * levels + "}"


def link(path: Path) -> None:
    (path.parent.parent / "secret").write_text(SECRET)
    path.symlink_to(path.parent.parent / "secret")


TRAPS: dict[str, Callable[[Path], object]] = {
    "link": link,
    "dangling link": lambda path: path.symlink_to("/nowhere"),
    "link to itself": lambda path: path.symlink_to(path),
    "named pipe": os.mkfifo,
    "folder": Path.mkdir,
    "large": lambda path: path.write_text(" " * (files.LARGEST + 1) + "{}"),
    "not UTF-8": lambda path: path.write_bytes(b'{"state": "\xff"}'),
    "no JSON": lambda path: path.write_text("{"),
    "list": lambda path: path.write_text("[]"),
    "deep": lambda path: path.write_text(deep(100)),
    "deeper than Python": lambda path: path.write_text(deep(100_000)),
    "digits": lambda path: path.write_text('{"step": ' + "9" * 5000 + "}"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_everything_but_a_file_of_the_trainer_counts_as_absent(
    run_dir: RunDir, name: str, trap: Callable[[Path], object], lines: list[str], clock: Clock
) -> None:
    trap(Path(run_dir.at(name)))
    run_dir.check()
    assert run_dir.done() is None
    assert run_dir.read_status() is None
    assert run_dir.read_evaluation() == {}
    assert run_ended(run_dir, "2026")() is False
    assert Status(run_dir, 10)["restarts"] == 0
    assert EvaluationRecord(run_dir=run_dir, early_stopping=None).evaluated == -1
    if trap is not Path.mkdir:  # no file can replace a folder
        run_dir.claim()
        lease = Lease(path=run_dir.at("lease.json"), token="ours", stale_after=1, sleep=clock.sleep, clock=clock)
        lease.take()
        lease.check()
        assert json.loads(Path(run_dir.at("run.json")).read_text())["hash"] == "sha256:1111"
    assert any(name in line for line in lines) or name == "lease.json"


@pytest.mark.parametrize("name", ["run.json", "lease.json"])
def test_folder_in_place_of_a_file_is_refused(run_dir: RunDir, name: str) -> None:
    Path(run_dir.at(name)).mkdir()
    lease = Lease(path=run_dir.at("lease.json"), token="ours", stale_after=1)
    with pytest.raises(ConfigError, match="cannot be written"), run_dir.must_be_writable():
        run_dir.claim()
        lease.take()


WRONG = {
    "status.json": [{"restarts": "x"}, {"restarts": -1}, {"step": 1.5}, {"step": True}, {"exitCode": []},
                    {"state": 3}, {"message": {}}, {"lastCheckpoint": []}, {"lastCheckpoint": {"step": "5"}}],
    "evaluation.json": [{"sinceBest": "x"}, {"best": 3}, {"best": {"step": 3}}, {"last": {"metrics": {}}},
                        {"stop": {"step": "x", "reason": "y"}}, {"stop": {}}, {"stop": []},
                        {"best": {"step": 1, "metric": "loss", "value": "low", "path": None}}],
    "DONE": [{"run": "little", "hash": 1111}, {"run": ["little"], "hash": "sha256:1111"},
             {"run": "little", "hash": "sha256:1111", "step": "x"}],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, each) for name, all_ in WRONG.items() for each in all_], ids=str)
def test_wrong_types_count_as_absent(run_dir: RunDir, name: str, content: object, lines: list[str]) -> None:
    Path(run_dir.at(name)).write_text(json.dumps(content))
    assert run_dir.done() is None
    assert run_dir.read_status() is None
    assert run_dir.early_stop() is None
    Status(run_dir, 10).update(step=1)
    EvaluationRecord(run_dir=run_dir, early_stopping=None).write()
    assert f"{name} is not a file of the trainer and counts as absent" in lines[0]


@pytest.mark.parametrize("content", [{"pid": "x", "token": "b"}, {"token": 3}, {"token": "b", "host": ["a"]}, []])
def test_wrong_lease_is_taken_at_once(run_dir: RunDir, content: object, clock: Clock) -> None:
    Path(run_dir.at("lease.json")).write_text(json.dumps(content))
    before = clock.now
    Lease(path=run_dir.at("lease.json"), token="a", stale_after=9, sleep=clock.sleep, clock=clock).take()
    assert clock.now == before


@pytest.mark.parametrize("other", [{"run": "big"}, {"hash": "sha256:2222"}, {"run": None}, {"hash": None}])
def test_done_marker_of_another_run_or_hash_ends_nothing(
    run_dir: RunDir, record: RunRecord, other: dict[str, str | None], lines: list[str]
) -> None:
    content = {"run": record.run, "hash": record.hash, "step": 5, **other}
    Path(run_dir.at("DONE")).write_text(json.dumps(content))
    assert run_dir.done() is None
    assert run_ended(run_dir, "2026")() is False
    run_dir.check()
    assert "is of another run or another identity hash and counts as absent" in lines[0]
    assert len(lines) == 1, "the file is read every second"
    run_dir.write_done({})
    assert run_dir.done() is not None


@pytest.mark.parametrize("kind", ["link", "hard link"])
@pytest.mark.parametrize("write", [files.write_text, files.overwrite_text])
def test_writing_never_follows_a_link(tmp_path: Path, kind: str, write: Callable[[str, str], None]) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.write_text("theirs")
    if kind == "link":
        ours.symlink_to(theirs)
    else:
        ours.hardlink_to(theirs)
    write(str(ours), "new")
    assert (theirs.read_text(), ours.read_text(), ours.is_symlink()) == ("theirs", "new", False)


def test_export_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    theirs, ours, new = tmp_path / "theirs", tmp_path / "export", tmp_path / "export.tmp"
    for folder in (theirs, new):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    ours.symlink_to(theirs)
    files.replace_tree(str(new), str(ours))
    assert ((theirs / "file").read_text(), (ours / "file").read_text()) == ("theirs", "export.tmp")


@pytest.mark.parametrize("name", ["checkpoints", "logs", "best"])
def test_folder_that_is_a_link_is_refused(run_dir: RunDir, tmp_path: Path, name: str) -> None:
    Path(run_dir.at(name)).symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=rf"{name}: got a link; expected a folder.*Delete the link"):
        run_dir.claim()


def test_texts_of_a_file_are_shown_without_control_characters(run_dir: RunDir) -> None:
    Path(run_dir.at("status.json")).write_text(json.dumps({"state": "failed", "message": "a\n\x1b]0;b\x07"}))
    status = run_dir.read_status()
    assert status is not None
    assert status["message"] == "a  ]0;b "


def test_what_the_trainer_writes_has_the_shape(run_dir: RunDir, clock: Clock) -> None:
    run_dir.claim()
    run_dir.write_done({"step": 5, "metrics": {"loss": 1.0}})
    Status(run_dir, 10).update(state="failed", exitCode=1, lastCheckpoint={"step": 1, "path": "x"}, metrics={"a": 1.0})
    evaluation = EvaluationRecord(run_dir=run_dir, early_stopping=None)
    evaluation.add(5, {"loss": 1.0})
    evaluation.write()
    Lease(path=run_dir.at("lease.json"), token="a", stale_after=9, clock=clock).take()
    shapes = (records.RUN_RECORD, records.DONE, records.STATUS, records.EVALUATION, records.LEASE)
    for name, shape in zip(NAMES, shapes, strict=True):
        assert records.read(run_dir.at(name), shape) is not None, name
