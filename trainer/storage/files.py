"""Reading and writing files of the run directory, which is a local path or a URL such as gs://bucket/x.

Local paths use Python's own functions, which work before TensorFlow is imported. The import takes seconds, and a task
of a finished run should exit at once. URLs use `tf.io.gfile`. Every function repeats what failed for a moment.

Other runs may write to the same storage. Therefore a local file is read only if it is a regular file, and writing never
follows a link.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import stat
import uuid
from pathlib import Path
from types import TracebackType
from typing import Final

from trainer.runtime import errors
from trainer.runtime.logs import log
from trainer.runtime.types import Module
from trainer.storage.retry import retried

LARGEST: Final = 1 << 20
"""Bytes of the longest text that `read_text` reads. The files of a run directory have some hundred."""
# Without O_NONBLOCK, opening a named pipe would wait for its other end indefinitely.
_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_REGULAR: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR})


def is_remote(path: str) -> bool:
    """Return whether `path` is a URL, which only `tf.io.gfile` can read."""
    return "://" in path


def join(path: str, *names: str) -> str:
    """Return `path` with `names` appended, separated by slashes."""
    return "/".join([path.rstrip("/"), *names])


def _gfile() -> Module:
    import tensorflow as tf

    return tf.io.gfile


@retried
def read_text(path: str) -> str | None:
    """Return the text of the file at `path`, or None if it does not exist or is not a regular file of UTF-8 text."""
    content = _read_remote(path) if is_remote(path) else _read_local(path)
    if content is None:
        return None
    try:
        if len(content) <= LARGEST:
            return content.decode()
        _tell(path, f"is larger than {LARGEST} bytes")
    except UnicodeDecodeError:
        _tell(path, "is not text")
    return None


def _read_remote(path: str) -> bytes | None:
    import tensorflow as tf

    try:
        with _gfile().GFile(path, "rb") as file:
            return bytes(file.read(LARGEST + 1))
    except tf.errors.NotFoundError:
        return None


def _read_local(path: str) -> bytes | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _SAFE), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NOT_REGULAR:
            raise
    _tell(path, "is not a regular file")
    return None


@functools.cache  # Some files are read every second.
def _tell(path: str, what: str) -> None:
    log.info("%s %s and counts as absent", path, what)


@retried
def is_regular(path: str) -> bool:
    """Return whether reading `path` cannot block: it is a regular file, a link to one, or absent."""
    try:
        return is_remote(path) or stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        return True


def is_link(path: str) -> bool:
    """Return whether `path` is a symbolic link."""
    return not is_remote(path) and Path(path).is_symlink()


@retried
def write_text(path: str, text: str) -> None:
    """Replace the content of the file at `path` with `text` atomically.

    The function writes a temporary file and renames it. Readers see the old or the new content, never a part of it.
    """
    temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    if is_remote(path):
        with _gfile().GFile(temporary, "w") as file:
            file.write(text)
        _gfile().rename(temporary, path, overwrite=True)
        return
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o666), "wb") as target:
            target.write(text.encode())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@retried
def overwrite_text(path: str, text: str) -> None:
    """Write a short `text` into the existing file at `path`, without a rename.

    A reader on NFS sees the new content at once, but may see only a part of it. If a link or anything else that another
    run may have put there is at `path`, a new file replaces it.
    """
    if is_remote(path):
        with _gfile().GFile(path, "w") as file:
            file.write(text)
        return
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            Path(path).unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | _SAFE, 0o666), "wb", buffering=0) as target:
        target.write(text.encode())
        target.truncate()


@retried
def make_directory(path: str) -> None:
    """Create the directory `path` and its parents if they do not exist."""
    if is_remote(path):
        _gfile().makedirs(path)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)


@retried
def names_in(path: str) -> list[str]:
    """Return the sorted names in the directory `path`; return an empty list if it does not exist."""
    if not is_remote(path):
        try:
            return sorted(each.name for each in Path(path).iterdir())
        except FileNotFoundError:
            return []
    if not _gfile().isdir(path):
        return []
    return sorted(str(name).rstrip("/") for name in _gfile().listdir(path))


@retried
def copy(source: str, target: str) -> None:
    """Copy a file. `target` never exists with a part of the content."""
    if is_remote(target):
        _gfile().copy(source, target, overwrite=True)
        return
    temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        shutil.copyfile(source, temporary)
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


@retried
def rename(source: str, target: str) -> None:
    """Rename a file, and replace an existing `target`."""
    if is_remote(target):
        _gfile().rename(source, target, overwrite=True)
    else:
        Path(source).replace(target)


@retried
def remove(path: str) -> None:
    """Delete the file at `path` if it exists."""
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
    elif _gfile().exists(path):
        _gfile().remove(path)


def _raise_what_may_pass(_: object, path: str, error: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    """Raise an error of the storage that may pass, and ignore any other error."""
    if errors.is_storage_failure(error[1]):
        raise error[1]


@retried
def remove_tree(path: str) -> None:
    """Delete the directory `path` with its content if it exists. Of a link, only the link is deleted."""
    if is_link(path):
        Path(path).unlink()
    elif not is_remote(path):
        shutil.rmtree(path, onerror=_raise_what_may_pass)
    elif _gfile().isdir(path):
        _gfile().rmtree(path)


def replace_tree(source: str, target: str) -> None:
    """Replace the directory `target` with the directory `source`."""
    remove_tree(target)
    rename(source, target)
