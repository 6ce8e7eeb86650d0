from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.runtime.config import RunRecord
from trainer.runtime.errors import ConfigError
from trainer.storage import files
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status


@pytest.fixture
def run_dir(tmp_path: Path, record: RunRecord) -> RunDir:
    return RunDir(str(tmp_path / "little"), record)


def test_claim_writes_the_record_with_versions_once(run_dir: RunDir) -> None:
    run_dir.claim()
    first = Path(run_dir.at("run.json")).read_text()
    written = json.loads(first)
    assert written["run"] == "little"
    assert {"python", "keras"} <= set(written["versions"])
    run_dir.claim()
    assert Path(run_dir.at("run.json")).read_text() == first


def test_directory_of_another_run_is_refused(run_dir: RunDir, record: RunRecord) -> None:
    run_dir.claim()
    other = RunDir(run_dir.path, replace(record, hash="sha256:2222"))
    with pytest.raises(
        ConfigError, match=r"run.json: got the identity hash 'sha256:1111' .*'sha256:2222'.*another name"
    ):
        other.check()


def test_run_is_done_when_the_marker_exists(run_dir: RunDir, record: RunRecord) -> None:
    assert run_dir.done() is None
    run_dir.claim()
    assert run_dir.done() is None
    run_dir.write_done({"step": 5})
    assert run_dir.done() == {"run": "little", "hash": record.hash, "step": 5}


def test_sibling_checkpoints_are_in_the_parent_directory(record: RunRecord) -> None:
    assert RunDir("/runs/little", record).sibling_checkpoints("big") == "/runs/big/checkpoints"
    assert RunDir("gs://b/x/little", record).sibling_checkpoints("big") == "gs://b/x/big/checkpoints"


def test_status_has_all_fields_and_counts_restarts(run_dir: RunDir) -> None:
    run_dir.claim()
    status = Status(run_dir, 100)
    assert status["restarts"] == 0
    status.update(state="running", step=40, loss=0.5)
    written = run_dir.read_status()
    assert written is not None
    assert set(written) == {
        "state", "exitCode", "step", "steps", "stepsPerSecond", "examplesPerSecond", "etaSeconds", "loss",
        "lastCheckpoint", "restarts", "metrics", "message", "startup", "inputWaitShare", "replicas",
        "lossIsNotANumber", "data", "workers", "workerChanges", "leader", "updated",
    }  # fmt: skip
    assert (written["step"], written["steps"], written["loss"]) == (40, 100, 0.5)
    again = Status(run_dir, 100)
    assert (again["restarts"], again["step"]) == (1, 40)


def test_diverged_loss_is_null_in_status(run_dir: RunDir) -> None:
    run_dir.claim()
    Status(run_dir, 100).update(loss=float("nan"), metrics={"loss": float("inf"), "accuracy": 0.1})
    text = Path(run_dir.at("status.json")).read_text()
    written = json.loads(text, parse_constant=pytest.fail)
    assert (written["loss"], written["metrics"]) == (None, {"loss": None, "accuracy": 0.1})


def test_wait_for_peers_does_not_count_as_a_restart(run_dir: RunDir) -> None:
    run_dir.claim()
    Status(run_dir, 100).update(state="starting")
    assert Status(run_dir, 100)["restarts"] == 0


def test_heartbeat_writes_status(run_dir: RunDir) -> None:
    run_dir.claim()
    status = Status(run_dir, 100)
    written = threading.Event()
    update = status.update
    status.update = lambda **fields: (update(**fields), written.set())  # type: ignore[method-assign,return-value]
    status.start_heartbeat(every=0.01)
    assert written.wait(5)
    assert run_dir.read_status() is not None
    status.stop_heartbeat()


def test_failed_write_of_status_is_only_logged(run_dir: RunDir, lines: list[str]) -> None:
    Status(run_dir, 100).update(state="running")  # The directory does not exist.
    assert "cannot write" in lines[0]


def test_readers_never_see_a_part_of_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    texts = {letter * 100_000 for letter in "ab"}
    files.write_text(path, "a" * 100_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for text in texts:
                files.write_text(path, text)

    thread = threading.Thread(target=write)
    thread.start()
    seen = [files.read_text(path) for _ in range(200)]
    stop.set()
    thread.join()
    assert set(seen) <= texts
    assert files.names_in(str(tmp_path)) == ["file"]


def test_directories_are_replaced_and_removed_with_their_content(tmp_path: Path) -> None:
    source, target = tmp_path / "new", tmp_path / "old"
    for folder in (source, target):
        folder.mkdir()
        (folder / folder.name).write_text("x")
    files.replace_tree(str(source), str(target))
    assert files.names_in(str(target)) == ["new"]
    files.remove_tree(str(target))
    assert files.names_in(str(target)) == []
    assert files.read_text(str(target / "new")) is None


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_storage_without_write_access_is_refused(run_dir: RunDir, number: int) -> None:
    match = rf"RUN_DIR: got '{run_dir.path}', which cannot be written \(.*\); expected a writable"
    with pytest.raises(ConfigError, match=match), run_dir.must_be_writable():
        raise OSError(number, os.strerror(number))
    with pytest.raises(OSError, match="No space"), run_dir.must_be_writable():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
