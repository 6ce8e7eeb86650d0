"""Reading and writing the run directory, which is a local path or a URL such as gs://bucket/x.

Local paths go through `pathlib`, so that they work before TensorFlow is imported (an import takes seconds, and a run
that is done should say so at once); everything with a scheme goes through `tf.io.gfile`.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from trainer.runtime.types import Module


def is_remote(path: str) -> bool:
    """Return whether `path` is a URL, which only TensorFlow can read."""
    return "://" in path


def join(path: str, *names: str) -> str:
    """Return `path` with `names` appended, separated by slashes."""
    return "/".join([path.rstrip("/"), *names])


def _gfile() -> Module:
    import tensorflow as tf

    return tf.io.gfile


def read_text(path: str) -> str | None:
    """Return the file's text, or None when there is no such file."""
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
    """Write `text` so that readers see the old or the new content, never a part: a temporary name, then rename."""
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
    """Write a short `text` into the file itself: a reader on NFS sees it at once, but perhaps only a part of it."""
    if is_remote(path):
        with _gfile().GFile(path, "w") as file:
            file.write(text)
        return
    with Path(path).open("r+b" if Path(path).exists() else "wb", buffering=0) as file:
        file.write(text.encode())
        file.truncate()


def make_directory(path: str) -> None:
    """Create the directory and its parents; an existing one is fine."""
    if is_remote(path):
        _gfile().makedirs(path)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)


def names_in(path: str) -> list[str]:
    """Return the names in a directory, sorted; none when there is no such directory."""
    if not is_remote(path):
        try:
            return sorted(each.name for each in Path(path).iterdir())
        except FileNotFoundError:
            return []
    if not _gfile().isdir(path):
        return []
    return sorted(str(name).rstrip("/") for name in _gfile().listdir(path))


def copy(source: str, target: str) -> None:
    """Copy a file; `target` is there as a whole or not at all."""
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
    """Rename a file, over an existing one."""
    if is_remote(target):
        _gfile().rename(source, target, overwrite=True)
    else:
        Path(source).replace(target)


def remove(path: str) -> None:
    """Delete a file; nothing happens when there is none."""
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
    elif _gfile().exists(path):
        _gfile().remove(path)


def remove_tree(path: str) -> None:
    """Delete a directory and all in it; nothing happens when there is none."""
    if not is_remote(path):
        shutil.rmtree(path, ignore_errors=True)
    elif _gfile().isdir(path):
        _gfile().rmtree(path)


def replace_tree(source: str, target: str) -> None:
    """Move the directory `source` to `target`, in place of what was there."""
    remove_tree(target)
    if is_remote(target):
        _gfile().rename(source, target, overwrite=True)
    else:
        Path(source).rename(target)
