"""Checkpoints: which is the newest complete one, saving and restoring."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from trainer import files
from trainer.types import Tensor

_INDEX: Final = re.compile(r"ckpt-(\d+)\.index")
_CHIEF_CPU: Final = "/job:chief/replica:0/task:0/device:CPU:0"


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint in storage."""

    step: int
    """The step it was saved at."""
    path: str
    """Its prefix, as TensorFlow's `restore` takes it."""


def all_complete(directory: str) -> list[Found]:
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
                found.append(Found(int(match[1]), files.join(directory, prefix)))
    return sorted(found, key=lambda each: each.step)


def newest_complete(directory: str) -> Found | None:
    """Return the newest complete checkpoint in `directory`, None when there is none."""
    found = all_complete(directory)
    return found[-1] if found else None


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
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            directory if writer else tempfile.mkdtemp(prefix="not-the-chief-"),
            max_to_keep=keep if writer else 1,
            checkpoint_name="ckpt",
        )

    def restore(self, path: str) -> None:
        """Restore everything from the checkpoint at `path`."""
        self._checkpoint.restore(path, options=self._options).assert_existing_objects_matched()

    def restore_parts(self, path: str, *names: str) -> None:
        """Restore only the parts called `names` from the checkpoint at `path`, which another run wrote."""
        parts = tf.train.Checkpoint(**{name: self._parts[name] for name in names})
        parts.restore(path, options=self._options).assert_existing_objects_matched().expect_partial()

    def save(self, step: int) -> Found:
        """Save everything as the checkpoint of `step`."""
        self._manager.save(checkpoint_number=step, options=self._options)
        return Found(step, files.join(self.directory, f"ckpt-{step}"))


def restore_model(path: str, model: Tensor) -> None:
    """Restore the weights of a model that no strategy holds.

    Raises:
        tf.errors.NotFoundError: the checkpoint was deleted meanwhile.

    """
    status = tf.train.Checkpoint(model=model).restore(path)
    status.assert_existing_objects_matched().expect_partial()
