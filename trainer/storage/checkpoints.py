"""Checkpoints: which is the newest complete one, saving and restoring."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from trainer.runtime.types import Tensor
from trainer.storage import files

_INDEX: Final = re.compile(r"ckpt-(\d+)\.index")
_DAMAGES: Final = (tf.errors.DataLossError, tf.errors.OutOfRangeError, tf.errors.OpError)
_ANY: Final = re.compile(r"ckpt-(\d+)(?:\.data-|\.index$|_temp)")
_TEMPORARY: Final = re.compile(r"ckpt-\d+_temp")
_CHIEF_CPU: Final = "/job:chief/replica:0/task:0/device:CPU:0"


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A checkpoint in storage."""

    step: int
    """The step it was saved at."""
    path: str
    """Its prefix, as TensorFlow's `restore` takes it."""


def all_complete(directory: str) -> list[CheckpointRef]:
    """Return the complete checkpoints in `directory`, oldest first.

    The index file is written last, so with all the data files that its name promises a checkpoint is complete.
    """
    names = files.names_in(directory)
    data: dict[str, list[str]] = {}
    for name in names:
        prefix, dot, rest = name.partition(".data-")
        if dot:
            data.setdefault(prefix, []).append(rest)
    found = []
    for name in names:
        if match := _INDEX.fullmatch(name):
            prefix = name.removesuffix(".index")
            parts = data.get(prefix, [])
            if parts and len(parts) == int(parts[0].rpartition("-")[2]):
                found.append(CheckpointRef(int(match[1]), files.join(directory, prefix)))
    return sorted(found, key=lambda each: each.step)


def incomplete(directory: str) -> list[int]:
    """Return the steps of checkpoints in `directory` of which a file is missing: the process ended as it wrote them."""
    complete = {found.step for found in all_complete(directory)}
    steps = {int(match[1]) for name in files.names_in(directory) if (match := _ANY.match(name))}
    return sorted(steps - complete)


def remove_partial(directory: str) -> None:
    """Delete what saves that did not come to their end have left in `directory`."""
    for name in files.names_in(directory):
        if _TEMPORARY.match(name):
            files.remove_tree(files.join(directory, name))


class DamagedError(Exception):
    """A file of a checkpoint is cut off or overwritten."""


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Tell damage by one error: TensorFlow has several for it, depending on which part of a file it is in."""
    try:
        yield
    except (tf.errors.OpError, IndexError) as error:
        # An index that is cut off comes as the bare base class.
        if isinstance(error, tf.errors.OpError) and type(error) not in _DAMAGES:
            raise
        raise DamagedError(f"{path}: {str(error).partition(chr(10))[0]}") from error


def set_aside(found: CheckpointRef) -> None:
    """Rename the index of a damaged checkpoint, so that nobody takes it for complete again."""
    files.rename(f"{found.path}.index", f"{found.path}.index.damaged")


def newest_complete(directory: str) -> CheckpointRef | None:
    """Return the newest complete checkpoint in `directory`, None when there is none."""
    found = all_complete(directory)
    return found[-1] if found else None


def keep(found: CheckpointRef, directory: str) -> str | None:
    """Copy a checkpoint to `directory` and delete the older ones there; return its new path.

    None when it was deleted before it was copied. As long as the copy is not complete the older one stays.
    """
    source, name = found.path.rpartition("/")[0], f"ckpt-{found.step}"
    files.make_directory(directory)
    parts = [each for each in files.names_in(source) if each.startswith(f"{name}.data-")]
    try:
        for part in [*parts, f"{name}.index"]:  # the index last: with it the copy counts as complete
            files.copy(files.join(source, part), files.join(directory, part))
    except (FileNotFoundError, tf.errors.NotFoundError):
        return None
    return keep_only(directory, name)


def keep_model(model: Tensor, step: int, directory: str) -> str:
    """Save the weights alone of a checkpoint that is gone, as `keep` would have copied it; return its path."""
    name = f"ckpt-{step}"
    files.make_directory(directory)
    tf.train.Checkpoint(model=model).write(files.join(directory, name))
    return keep_only(directory, name)


def keep_only(directory: str, name: str) -> str:
    """Make `name` the one checkpoint in `directory`; return its path."""
    _point_to(directory, name)
    for each in files.names_in(directory):
        if each.startswith("ckpt-") and not each.startswith(f"{name}."):
            files.remove(files.join(directory, each))
    return files.join(directory, name)


def _point_to(directory: str, name: str) -> None:
    """Make `name` what `tf.train.latest_checkpoint` finds in `directory`."""
    files.write_text(files.join(directory, "checkpoint"), f'model_checkpoint_path: "{name}"\n')


def _delete(directory: str, found: CheckpointRef) -> None:
    """Delete a checkpoint in `directory`, its index first: without it the rest is not taken for complete."""
    prefix = f"ckpt-{found.step}."
    parts = [each for each in files.names_in(directory) if each.startswith(prefix)]
    for each in sorted(parts, key=lambda name: not name.endswith(".index")):
        files.remove(files.join(directory, each))


class Checkpoints:
    """Saves and restores what one run trains.

    Saving a MultiWorkerMirrored model is a collective: every worker must call `save`, but only worker 0 may write to
    the run directory. The others (`writer=False`) write to a scratch directory of their own.
    """

    def __init__(self, directory: str, *, keep: int, writer: bool, on_chief: bool, **trackables: object) -> None:
        """Take what to save as `trackables`; `on_chief` lets the chief alone touch the files of a ParameterServer run.

        Otherwise each ps would write its own part, and would need the storage.
        """
        self.directory = directory
        self._parts = trackables
        self._options = tf.train.CheckpointOptions(experimental_io_device=_CHIEF_CPU) if on_chief else None
        self._checkpoint = tf.train.Checkpoint(**trackables)
        self._target = directory if writer else tempfile.mkdtemp(prefix="not-the-chief-")
        self._keep = keep if writer else 1
        # TensorFlow saves what is spread over several tasks by a graph. Left to itself (a CheckpointManager does so) it
        # makes a new one for each checkpoint and registers it with every server: one that hangs then stops the chief.
        self._graph = tf.function(self._write, autograph=False) if on_chief else None

    def restore(self, path: str) -> None:
        """Restore everything from the checkpoint at `path`.

        Raises:
            DamagedError: it can't be read.

        """
        with _reading(path):
            self._checkpoint.read(path, options=self._options).assert_existing_objects_matched()

    def restore_parts(self, path: str, *names: str) -> None:
        """Restore only the parts called `names` from the checkpoint at `path`, which another run wrote."""
        parts = tf.train.Checkpoint(**{name: self._parts[name] for name in names})
        parts.read(path, options=self._options).assert_existing_objects_matched().expect_partial()

    def save(self, step: int) -> CheckpointRef:
        """Save everything as the checkpoint of `step`, and delete the oldest one when there are too many."""
        name = f"ckpt-{step}"
        path = files.join(self._target, name)
        if self._graph:
            self._graph(tf.constant(path))
        else:
            self._write(path)
        _point_to(self._target, name)
        for old in all_complete(self._target)[: -self._keep]:
            _delete(self._target, old)
        return CheckpointRef(step, files.join(self.directory, name))

    def _write(self, path: str | Tensor) -> None:
        self._checkpoint.write(path, options=self._options)


def restore_model(path: str, model: Tensor) -> None:
    """Restore the weights of a model that no strategy holds.

    Raises:
        tf.errors.NotFoundError: the checkpoint was deleted meanwhile.
        DamagedError: it can't be read.

    """
    with _reading(path):
        status = tf.train.Checkpoint(model=model).read(path)
    status.assert_existing_objects_matched().expect_partial()
