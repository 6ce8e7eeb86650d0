"""Reading and writing files of the run directory, which is a local path or a URL such as gs://bucket/x.

Local paths use `pathlib`, which works before TensorFlow is imported. The import takes seconds, and a task of a finished
run should exit at once. URLs use `tf.io.gfile`.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from trainer.runtime.types import Module


def is_remote(path: str) -> bool:
    """Return whether `path` is a URL, which only `tf.io.gfile` can read."""
    return "://" in path


def join(path: str, *names: str) -> str:
    """Return `path` with `names` appended, separated by slashes."""
    return "/".join([path.rstrip("/"), *names])


def _gfile() -> Module:
    import tensorflow as tf

    return tf.io.gfile


def read_text(path: str) -> str | None:
    """Return the text of the file at `path`, or None if the file does not exist."""
    if not is_remote(path):
        try:
            return Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path) as file:
            return str(file.read())
    except tf.errors.NotFoundError:
        return None


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
        Path(temporary).write_text(text, encoding="utf-8")
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def overwrite_text(path: str, text: str) -> None:
    """Write a short `text` into the existing file at `path`, without a rename.

    A reader on NFS sees the new content at once, but may see only a part of it.
    """
    if is_remote(path):
        with _gfile().GFile(path, "w") as file:
            file.write(text)
        return
    with Path(path).open("r+b" if Path(path).exists() else "wb", buffering=0) as file:
        file.write(text.encode())
        file.truncate()


def make_directory(path: str) -> None:
    """Create the directory `path` and its parents if they do not exist."""
    if is_remote(path):
        _gfile().makedirs(path)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)


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


def rename(source: str, target: str) -> None:
    """Rename a file, and replace an existing `target`."""
    if is_remote(target):
        _gfile().rename(source, target, overwrite=True)
    else:
        Path(source).replace(target)


def remove(path: str) -> None:
    """Delete the file at `path` if it exists."""
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
    elif _gfile().exists(path):
        _gfile().remove(path)


def remove_tree(path: str) -> None:
    """Delete the directory `path` with its content if it exists."""
    if not is_remote(path):
        shutil.rmtree(path, ignore_errors=True)
    elif _gfile().isdir(path):
        _gfile().rmtree(path)


def replace_tree(source: str, target: str) -> None:
    """Replace the directory `target` with the directory `source`."""
    remove_tree(target)
    if is_remote(target):
        _gfile().rename(source, target, overwrite=True)
    else:
        Path(source).rename(target)
