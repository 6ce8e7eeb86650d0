"""A storage that fails for a moment, at every boundary between the trainer and the operating system or TensorFlow."""

from __future__ import annotations

import builtins
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from trainer.engine.early_stopping import EarlyStop
from trainer.roles.server import run_ended
from trainer.runtime import errors, exit_codes
from trainer.runtime.config import RunRecord
from trainer.storage import checkpoints, files, retry
from trainer.storage.checkpoints import Checkpoints, DamagedError
from trainer.storage.run_dir import RunDir

PASSING = [
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EAGAIN, errno.EREMOTEIO, errno.ECONNRESET,
    errno.EHOSTDOWN, errno.ENETUNREACH, errno.EBUSY, errno.ENOLCK,
]  # fmt: skip
FINAL = [errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG, errno.EFBIG, errno.ENOSPC, errno.ENOTEMPTY]
CALLS = ["open", "replace", "mkdir", "listdir", "unlink", "lstat", "stat", "rmdir", "scandir"]
"""The functions of `os` that end in the storage."""
_STAT = os.stat

pytestmark = pytest.mark.slow


class Storage:
    """A folder whose system calls fail some times."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.left, self.number = folder, 0, 0
        self.pauses: list[float] = []
        monkeypatch.setattr(retry.time, "sleep", self.pauses.append)
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))
        monkeypatch.setattr(builtins, "open", self._wrapped(open))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(path: object = ".", *args: object, **kwargs: object) -> object:
            # shutil.copyfile looks whether both files are one, and copies when it cannot see that.
            looks = call is _STAT and sys._getframe(1).f_code.co_filename.endswith(("genericpath.py", "shutil.py"))
            if self.left and not looks and str(path).startswith(str(self.folder)):
                self.left -= 1
                raise OSError(self.number, os.strerror(self.number), str(path))
            return call(path, *args, **kwargs)

        return wrapper

    def fail(self, number: int, times: int) -> None:
        """Let the next `times` system calls fail with the error `number`."""
        self.number, self.left = number, times


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    folder = tmp_path / "s"
    (folder / "tree" / "below").mkdir(parents=True)
    for name in ("file", "tree/leaf"):
        (folder / name).write_text("text")
    return Storage(folder, monkeypatch)


ACTIONS: dict[str, Callable[[str], object]] = {
    "read_text": lambda at: files.read_text(f"{at}/file"),
    "write_text": lambda at: files.write_text(f"{at}/file", "new"),
    "overwrite_text": lambda at: files.overwrite_text(f"{at}/file", "new"),
    "make_directory": lambda at: files.make_directory(f"{at}/new"),
    "names_in": files.names_in,
    "is_regular": lambda at: files.is_regular(f"{at}/file"),
    "copy": lambda at: files.copy(f"{at}/file", f"{at}/copy"),
    "rename": lambda at: files.rename(f"{at}/file", f"{at}/other"),
    "remove": lambda at: files.remove(f"{at}/file"),
    "remove_tree": lambda at: files.remove_tree(f"{at}/tree"),
    "replace_tree": lambda at: files.replace_tree(f"{at}/tree", f"{at}/tree2"),
    "complete": checkpoints.all_complete,
}
actions = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)


@actions
@pytest.mark.parametrize("number", PASSING[:3], ids=errno.errorcode.get)
def test_error_that_passes_is_repeated_and_told(
    storage: Storage, lines: list[str], action: Callable[[str], object], number: int
) -> None:
    storage.fail(number, 2)
    action(str(storage.folder))
    assert storage.left == 0, "the action does not reach the storage"
    assert storage.pauses, "the action must wait before it repeats"
    assert os.strerror(number) in lines[0]
    assert "next try in 0.5 s" in lines[0]


@actions
def test_error_that_stays_ends_with_75(storage: Storage, lines: list[str], action: Callable[[str], object]) -> None:
    storage.fail(errno.ESTALE, 1000)
    with pytest.raises(OSError, match="Stale") as raised:
        action(str(storage.folder))
    assert storage.pauses == list(retry.PAUSES)
    assert errors.code_for(raised.value) == exit_codes.RETRYABLE
    assert errors.summary(raised.value).startswith("the storage failed: ")


# The rest of a tree that cannot be deleted may stay.
@pytest.mark.parametrize("action", [each for name, each in ACTIONS.items() if name != "remove_tree"])
@pytest.mark.parametrize("number", FINAL[:3], ids=errno.errorcode.get)
def test_final_error_is_not_repeated(storage: Storage, action: Callable[[str], object], number: int) -> None:
    storage.fail(number, 1000)
    with pytest.raises(OSError, match=os.strerror(number)):
        action(str(storage.folder))
    assert storage.pauses == []


def texts(number: int) -> list[Exception]:
    """The classes in which TensorFlow reports an error of the operating system, and Python code in a dataset."""
    text = f"/runs/little/data-1.tfrecord; {os.strerror(number)}"
    classes = (tf.errors.UnknownError, tf.errors.UnavailableError, tf.errors.AbortedError,
               tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)  # fmt: skip
    python = f"OSError: [Errno {number}] {os.strerror(number)}: '/data/x'\nTraceback (most recent call last):"
    return [*(each(None, None, text) for each in classes), tf.errors.UnknownError(None, None, python)]


@pytest.mark.parametrize(
    "error",
    [
        *(each for number in PASSING if number != errno.ECONNRESET for each in texts(number)),
        tf.errors.UnavailableError(None, None, "Error executing an HTTP request: HTTP response code 503 with body ''"),
        tf.errors.AbortedError(None, None, "All 10 retry attempts failed. The last failure: HTTP response code 500"),
        tf.errors.FailedPreconditionError(None, None, "Error executing an HTTP request: libcurl code 6 meaning 'Could"),
    ],
    ids=lambda error: f"{type(error).__name__}-{str(error)[-20:]}",
)
def test_every_form_of_tensorflow_is_an_error_that_passes(error: Exception) -> None:
    assert errors.is_storage_failure(error)
    assert errors.code_for(error) == exit_codes.RETRYABLE


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, os.strerror(number)) for number in FINAL),
        tf.errors.NotFoundError(None, None, "/runs/x; No such file or directory"),
        tf.errors.PermissionDeniedError(None, None, "/runs/x; Permission denied"),
        tf.errors.PermissionDeniedError(None, None, "Error executing an HTTP request: HTTP response code 403"),
        tf.errors.DataLossError(None, None, "corrupted record at 0"),
        tf.errors.InternalError(None, None, "recvmsg:Connection timed out"),
        tf.errors.UnavailableError(None, None, "failed to connect to all addresses; last error: No route to host"),
        ValueError("Input/output error"),
    ],
    ids=str,
)
def test_other_errors_are_not_errors_that_pass(error: Exception) -> None:
    assert not errors.is_storage_failure(error)


def test_real_record_file_with_an_input_output_error_ends_with_75() -> None:
    with pytest.raises(tf.errors.UnknownError) as raised:
        list(tf.data.TFRecordDataset("/proc/self/mem", buffer_size=1024))
    assert errors.code_for(raised.value) == exit_codes.RETRYABLE


def failing(times: int, action: Callable[..., Any]) -> Callable[..., Any]:
    """Return `action`, which first fails `times` times as TensorFlow fails."""
    left = [times]

    def wrapper(*args: object, **kwargs: object) -> object:
        if left[0]:
            left[0] -= 1
            raise tf.errors.UnknownError(None, None, "ckpt-5.data-00000-of-00001; Input/output error")
        return action(*args, **kwargs)

    return wrapper


@pytest.fixture
def saver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    monkeypatch.setattr(retry.time, "sleep", lambda _: None)
    return Checkpoints(str(tmp_path / "c"), keep=2, writer=True, on_chief=False, value=tf.Variable(3.0))


def test_writing_and_reading_a_checkpoint_are_repeated(saver: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    files.make_directory(saver.directory)
    monkeypatch.setattr(tf.train.Checkpoint, "write", failing(2, tf.train.Checkpoint.write))
    found = saver.save(5)
    monkeypatch.setattr(tf.train.Checkpoint, "read", failing(2, tf.train.Checkpoint.read))
    saver.restore(found.path)
    monkeypatch.setattr(tf.train.Checkpoint, "read", failing(2, tf.train.Checkpoint.read))
    checkpoints.restore_model(found.path, tf.Module())


def test_worker_does_not_repeat_alone_what_all_workers_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, together=True, value=tf.Variable(3.0))
    monkeypatch.setattr(tf.train.Checkpoint, "write", failing(1, tf.train.Checkpoint.write))
    with pytest.raises(tf.errors.UnknownError):
        saver.save(5)


def test_checkpoint_that_is_whole_at_a_second_look_is_not_damaged(
    saver: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.make_directory(saver.directory)
    found = saver.save(5)
    path = Path(f"{found.path}.data-00000-of-00001")
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    monkeypatch.setattr(checkpoints.time, "sleep", lambda _: path.write_bytes(whole))
    saver.restore(found.path)


def test_checkpoint_that_is_a_named_pipe_is_damaged(saver: Checkpoints) -> None:
    files.make_directory(saver.directory)
    found = saver.save(5)
    path = Path(f"{found.path}.data-00000-of-00001")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DamagedError, match="not a regular file"):
        saver.restore(found.path)


class Bucket:
    """`tf.io.gfile` whose first call fails as a bucket fails."""

    def __init__(self) -> None:
        self.left = 2

    def __getattr__(self, name: str) -> object:
        if self.left:
            self.left -= 1
            raise tf.errors.UnavailableError(None, None, "HTTP response code 503")
        return getattr(tf.io.gfile, name)


@pytest.mark.parametrize("action", [each for name, each in ACTIONS.items() if name != "is_regular"])
def test_bucket_that_fails_for_a_moment_is_asked_again(
    action: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setattr(retry.time, "sleep", lambda _: None)
    if tf.io.gfile.exists("ram://s"):
        tf.io.gfile.rmtree("ram://s")
    tf.io.gfile.makedirs("ram://s/tree")
    for name in ("file", "tree/leaf"):
        with tf.io.gfile.GFile(f"ram://s/{name}", "w") as file:
            file.write("text")
    bucket = Bucket()
    monkeypatch.setattr(files, "_gfile", lambda: bucket)
    action("ram://s")
    assert bucket.left == 0
    assert len(lines) == 2


def test_server_and_training_go_on_without_the_run_directory(
    storage: Storage, record: RunRecord, lines: list[str]
) -> None:
    run_dir = RunDir(str(storage.folder / "little"), record)
    storage.fail(errno.ESTALE, 1000)
    assert run_ended(run_dir, "2026")() is False
    assert EarlyStop(run_dir)() is False
