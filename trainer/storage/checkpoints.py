"""Saving, finding and restoring checkpoints."""

from __future__ import annotations

import functools
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from trainer.runtime import descriptors
from trainer.runtime.errors import is_storage_failure
from trainer.runtime.types import Tensor, Variable
from trainer.storage import files, retry

_INDEX: Final = re.compile(r"ckpt-(\d+)\.index")
_DAMAGES: Final = (tf.errors.DataLossError, tf.errors.OutOfRangeError, tf.errors.OpError)
_ANY: Final = re.compile(r"ckpt-(\d+)(?:\.data-|\.index$|_temp)")
_OPTIONAL: Final = ("averages", "random")
"""Parts that a checkpoint of an earlier version does not have."""
_TEMPORARY: Final = re.compile(r"ckpt-\d+_temp")
_SECOND_LOOK_SECONDS: Final = 1.0
_CHIEF_CPU: Final = "/job:chief/replica:0/task:0/device:CPU:0"


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A checkpoint in storage."""

    step: int
    """The training step of the checkpoint."""
    path: str
    """The common prefix of its files, which is what TensorFlow's `restore` expects."""


def all_complete(directory: str) -> list[CheckpointRef]:
    """Return the complete checkpoints in `directory`, oldest first.

    A checkpoint is complete when its index file and all of its data files exist. TensorFlow writes the index last, and
    the name of each data file contains the number of data files.
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
    """Return the steps of the incomplete checkpoints in `directory`, in ascending order.

    A checkpoint is incomplete when the process ended while it wrote or deleted the files.
    """
    complete = {found.step for found in all_complete(directory)}
    steps = {int(match[1]) for name in files.names_in(directory) if (match := _ANY.match(name))}
    return sorted(steps - complete)


def remove_partial(directory: str) -> None:
    """Delete the temporary directories of interrupted saves in `directory`."""
    for name in files.names_in(directory):
        if _TEMPORARY.match(name):
            files.remove_tree(files.join(directory, name))


class DamagedError(Exception):
    """A file of a checkpoint is truncated or corrupt."""


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Raise `DamagedError` in place of the several errors that TensorFlow raises for a damaged checkpoint."""
    try:
        yield
    except (tf.errors.OpError, IndexError) as error:
        # For a truncated index, TensorFlow raises the base class OpError itself.
        if is_storage_failure(error) or (isinstance(error, tf.errors.OpError) and type(error) not in _DAMAGES):
            raise
        raise DamagedError(f"{path}: {str(error).partition(chr(10))[0]}") from error


@contextmanager
def literal(path: str) -> Iterator[str]:
    """Return a path to the checkpoint at `path` that TensorFlow does not take for a pattern.

    TensorFlow looks for the files of a checkpoint by a pattern, in which brackets have a meaning.
    """
    if files.is_remote(path) or "[" not in path:
        yield path
        return
    directory, _, name = path.rpartition("/")
    if not descriptors.PATHS_LEAD_THROUGH:
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(os.path.abspath(directory), f"{folder}/checkpoints")  # noqa: PTH100, PTH211 - paths of TensorFlow
            yield f"{folder}/checkpoints/{name}"
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"{descriptors.FOLDER}/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def _read(path: str, action: Callable[[str], object]) -> None:
    """Call `action`, which reads the checkpoint at the path that it gets, and repeat it if the storage fails.

    A network file system may show a file that another machine has just written without its end. So a checkpoint is
    damaged only if it is damaged at a second look.

    Raises:
        DamagedError: a file of the checkpoint is truncated, corrupt or no regular file.

    """

    def read() -> None:
        with _reading(path):
            directory, _, name = path.rpartition("/")
            parts = [files.join(directory, each) for each in files.names_in(directory) if each.startswith(f"{name}.")]
            if not all(files.is_regular(each) for each in parts):
                raise DamagedError(f"{path}: a part of it is not a regular file")
            with literal(path) as place:
                action(place)

    try:
        retry.call(read, f"reading {path}")
    except DamagedError:
        time.sleep(_SECOND_LOOK_SECONDS)
        retry.call(read, f"reading {path}")


def set_aside(found: CheckpointRef) -> None:
    """Rename the index of a damaged checkpoint, so that the checkpoint no longer counts as complete."""
    files.rename(f"{found.path}.index", f"{found.path}.index.damaged")


def newest_complete(directory: str) -> CheckpointRef | None:
    """Return the newest complete checkpoint in `directory`, or None if there are no complete checkpoints."""
    found = all_complete(directory)
    return found[-1] if found else None


def keep(found: CheckpointRef, directory: str) -> str | None:
    """Copy the checkpoint `found` to `directory` and delete the other checkpoints there; return the new path.

    Return None if another process deleted the checkpoint before the copy was complete. The other checkpoints stay until
    the copy is complete.
    """
    source, name = found.path.rpartition("/")[0], f"ckpt-{found.step}"
    files.make_directory(directory)
    parts = [each for each in files.names_in(source) if each.startswith(f"{name}.data-")]
    try:
        for part in [*parts, f"{name}.index"]:  # The index comes last, because it makes the copy complete.
            files.copy(files.join(source, part), files.join(directory, part))
    except (FileNotFoundError, tf.errors.NotFoundError):
        return None
    return keep_only(directory, name)


def keep_model(model: Tensor, step: int, directory: str, **parts: object) -> str:
    """Save the weights of `model`, and `parts` by name, as the only checkpoint in `directory`; return its path.

    This replaces `keep` when the original checkpoint of `step` was deleted.
    """
    name = f"ckpt-{step}"
    files.make_directory(directory)
    tf.train.Checkpoint(model=model, **parts).write(files.join(directory, name))
    return keep_only(directory, name)


def keep_only(directory: str, name: str) -> str:
    """Delete all checkpoints in `directory` except `name`; return the path of `name`."""
    _point_to(directory, name)
    for each in files.names_in(directory):
        if each.startswith("ckpt-") and not each.startswith(f"{name}."):
            files.remove(files.join(directory, each))
    return files.join(directory, name)


def _point_to(directory: str, name: str) -> None:
    """Write the checkpoint state file, so that `tf.train.latest_checkpoint` returns `name`."""
    files.write_text(files.join(directory, "checkpoint"), f'model_checkpoint_path: "{name}"\n')


def _delete(directory: str, found: CheckpointRef) -> None:
    """Delete a checkpoint in `directory`. The index goes first, so that a partial rest never counts as complete."""
    prefix = f"ckpt-{found.step}."
    parts = [each for each in files.names_in(directory) if each.startswith(prefix)]
    for each in sorted(parts, key=lambda name: not name.endswith(".index")):
        files.remove(files.join(directory, each))


class Checkpoints:
    """Saves and restores the checkpoints of one run.

    Saving a MultiWorkerMirrored model is a collective operation: every worker must call `save`. Only worker 0 may write
    to the run directory. The other workers (`writer=False`) write to a temporary directory, which they delete.
    """

    def __init__(
        self, directory: str, *, keep: int, writer: bool, on_chief: bool, together: bool = False, **trackables: object
    ) -> None:
        """Prepare saving; nothing is written yet.

        Args:
            directory: The directory of the checkpoints.
            keep: Number of newest checkpoints to keep.
            writer: Whether this task writes to `directory`.
            on_chief: Whether the chief of a ParameterServer run writes all files. Otherwise each ps would write its own
                part, and would need access to the storage.
            together: Whether saving is a collective operation of several workers.
            trackables: The objects to save, by name.

        """
        self.directory = directory
        self.parts = trackables
        self._options = tf.train.CheckpointOptions(experimental_io_device=_CHIEF_CPU) if on_chief else None
        self._checkpoint = tf.train.Checkpoint(**trackables)
        self._writer = writer
        self._keep = keep
        self._together = together
        # TensorFlow saves variables of several tasks with a graph. By default, and in a CheckpointManager, it creates a
        # new graph for each checkpoint and registers it with every server. An unresponsive server would then block the
        # chief. Therefore this class creates the graph once.
        self._graph = tf.function(self._write, autograph=False) if on_chief else None

    def prepare(self) -> None:
        """Create the graph now, while all servers answer, and not in the first `save`."""
        if self._graph:
            self._graph.get_concrete_function(tf.TensorSpec([], tf.string))

    def restore(self, path: str) -> None:
        """Restore all trackables from the checkpoint at `path`.

        Raises:
            DamagedError: a file of the checkpoint is truncated or corrupt.

        """
        _read(path, lambda at: self._present(at).read(at, options=self._options).assert_existing_objects_matched())

    def _present(self, path: str) -> tf.train.Checkpoint:
        """Return what to restore from the checkpoint at `path`, which an earlier version may have written."""
        stored = {name.partition("/")[0] for name, _ in tf.train.list_variables(path)}
        parts = {name: part for name, part in self.parts.items() if name in stored or name not in _OPTIONAL}
        return tf.train.Checkpoint(**parts)

    def restore_parts(self, path: str, **parts: object) -> None:
        """Restore only `parts`, by name, from the checkpoint at `path`, which another run wrote.

        Raises:
            DamagedError: a file of the checkpoint is truncated or corrupt.
            AssertionError: the checkpoint lacks a variable of `parts`.
            ValueError: a variable has another shape in the checkpoint.

        """
        found = tf.train.Checkpoint(**parts)
        _read(path, lambda at: found.read(at, options=self._options).assert_existing_objects_matched().expect_partial())

    def newest_step(self) -> int | None:
        """Return the step of the newest checkpoint of the run; None if it has none."""
        found = newest_complete(self.directory)
        return found.step if found else None

    def save(self, step: int) -> CheckpointRef:
        """Save all trackables as the checkpoint of `step`, then delete the oldest ones above `keep`."""
        name = f"ckpt-{step}"
        path = files.join(self.directory, name)
        if not self._writer:
            # Every restart in place would leave a permanent directory behind.
            with tempfile.TemporaryDirectory(prefix="not-the-chief-") as temporary:
                self._write(files.join(temporary, name))
            return CheckpointRef(step, path)
        write = functools.partial(self._graph, tf.constant(path)) if self._graph else lambda: self._write(path)
        # The other workers take part in a write, so none of them can repeat it alone.
        write() if self._together else retry.call(write, f"writing {path}")
        _point_to(self.directory, name)
        for old in all_complete(self.directory)[: -self._keep]:
            _delete(self.directory, old)
        return CheckpointRef(step, path)

    def _write(self, path: str | Tensor) -> None:
        self._checkpoint.write(path, options=self._options)


def restore_model(path: str, model: Tensor, **parts: object) -> None:
    """Restore the weights of `model`, which was built outside any strategy, from the checkpoint at `path`.

    Where the optimizer keeps averages of the weights, the model gets those.

    Args:
        path: The checkpoint.
        model: The model.
        parts: What else to restore, by name.

    Raises:
        AssertionError: the checkpoint lacks a variable.
        tf.errors.NotFoundError: the checkpoint was deleted in the meantime.
        DamagedError: a file of the checkpoint is truncated or corrupt.

    """

    def read(place: str) -> None:
        status = tf.train.Checkpoint(model=model, **parts).read(place)
        status.assert_existing_objects_matched().expect_partial()
        # A run without averages has none in its checkpoints, and then this reads nothing.
        tf.train.Checkpoint(averages=numbered(model.trainable_variables)).read(place).expect_partial()

    _read(path, read)


def numbered(variables: Sequence[Variable | None]) -> tf.Module:
    """Return what a checkpoint saves and restores `variables` by, each by its place."""
    holder = tf.Module()
    for place, variable in enumerate(variables):
        if variable is not None:
            setattr(holder, f"number_{place}", variable)
    return holder
