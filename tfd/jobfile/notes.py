"""Notes of `tfd check`: defaults whose effect the author of a custom program may not expect.

A note refuses nothing. It is one line about one key, and a file that has the key gets no note about it.
To add a note, write a function and list it in `_NOTES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

from tfd.jobfile.helm_yaml import Key
from tfd.kubernetes import ROLES
from tfd.text import dotted, shown

_ROLES_OF = {"ParameterServer": ("chief", "ps", "worker"), "MultiWorkerMirrored": ("worker",)}
_TASK_ROLES = ("ps", "worker")
"""The roles in which each task has its own number of retries."""
# Each of them moves downloads out of the home directory.
_CACHES = frozenset(["KERAS_HOME", "TFDS_DATA_DIR", "XDG_CACHE_HOME"])

DEFAULT_MEMORY = "2Gi"
"""The memory of a task without GPUs whose job file names none, as the chart sets it (templates/_resources.tpl)."""


class Note(NamedTuple):
    """A note about one key."""

    key: Key
    """The key to set. The file does not have it, but may have its block."""
    text: str
    """The effect of the default as a sentence, then an imperative."""

    @property
    def message(self) -> str:
        """The note without its place in the file."""
        return f"{dotted(self.key)}: {self.text}"


class Written(NamedTuple):
    """A valid job file, as it is written and over the defaults of the chart."""

    values: Mapping[str, Any]
    complete: Mapping[str, Any]

    def has(self, *key: str) -> bool:
        """Return whether the file itself has a key."""
        block: Any = self.values
        for name in key:
            if not isinstance(block, Mapping) or name not in block:
                return False
            block = block[name]
        return True

    @property
    def is_custom(self) -> bool:
        """Whether the tasks run a custom program, or a custom script under the trainer."""
        return self.has("command") or list(self.values.get("args", []))[:1] == ["--"]

    @property
    def roles(self) -> list[str]:
        """The roles that have tasks."""
        usual = _ROLES_OF.get(self.complete["strategy"], ("chief",))
        return [role for role in ROLES if self.complete[role].get("replicas", int(role in usual))]

    @property
    def images(self) -> Iterator[tuple[Key, str]]:
        """The images of the tasks and of TensorBoard."""
        yield ("image",), self.complete["image"]
        yield from (((role, "image"), self.complete[role]["image"]) for role in self.roles if self.has(role, "image"))
        if self.complete["tensorboard"]["enabled"]:
            yield ("tensorboard", "image"), self.complete["tensorboard"]["image"]


def notes(values: Mapping[str, Any], complete: Mapping[str, Any]) -> Iterator[Note]:
    """Yield the notes about a valid job file.

    Args:
        values: the file as it is written.
        complete: the same over the defaults of the chart.

    """
    written = Written(values, complete)
    if complete["state"] != "archived":
        for each in _NOTES:
            yield from each(written)


def _memory(written: Written) -> Iterator[Note]:
    """A task above its limit is killed with exit code 137 and retried."""
    unnamed = [
        role
        for role in written.roles
        if not any(written.has(role, "resources", kind, "memory") for kind in ("requests", "limits"))
    ]
    if written.is_custom and unnamed:
        text = (
            f"a task above {DEFAULT_MEMORY} of memory, the default, is killed. "
            "Set a limit for your program, or null for none."
        )
        yield Note((unnamed[0], "resources", "limits", "memory"), text)


def _deadline(written: Written) -> Iterator[Note]:
    if written.is_custom and not written.has("deadline"):
        text = (
            f"the run fails after {written.complete['deadline']}, the default. Set the longest time that it may take."
        )
        yield Note(("deadline",), text)


def _retries(written: Written) -> Iterator[Note]:
    """The trainer distinguishes failures by exit codes, but most programs exit with 1 for every reason."""
    keys = {("failure", "retriesPerTask") if role in _TASK_ROLES else ("retries",) for role in written.roles}
    decided = any(written.has(*key) for key in keys) or written.has("failure", "permanentExitCodes")
    if written.has("command") and not decided:
        key = min(keys)
        times = reduce(getitem, key, written.complete)
        text = f"a task that exits with 1 starts again, up to {times} times. Set 0 for a program that cannot resume."
        yield Note(key, text)


def _end(written: Written) -> Iterator[Note]:
    """The chart puts its guard, which writes DONE, only in front of a written command with a claim."""
    command = list(written.values.get("command", ["python", "-m", "trainer"]))
    if command[1:3] == ["-m", "trainer"]:
        return
    if not command:
        text = "nothing records the end of an entry point, so a task that starts again trains again. Set its words."
        yield Note(("command",), text)
    elif not (written.has("storage", "claim") or written.has("storage", "create")):
        text = (
            "without a claim nothing records the end of the program, so a task that starts again trains again. Set it."
        )
        yield Note(("storage", "claim"), text)


def _user(written: Written) -> Iterator[Note]:
    if written.has("command") and not written.has("runAsUser") and not written.has("readOnlyRoot"):
        user = written.complete["runAsUser"]
        text = (
            f"the program runs as user {user}, which cannot read /root, and writes only to the run directory and /tmp. "
            "Set the user of the image, or readOnlyRoot: false."
        )
        yield Note(("runAsUser",), text)


def _home(written: Written) -> Iterator[Note]:
    """HOME is /tmp, because the root file system is read-only and the user has no home directory."""
    names = {variable["name"] for variable in written.complete["env"]}
    if written.is_custom and not names & _CACHES:
        text = (
            "HOME is /tmp, so downloads to ~/.keras or ~/tensorflow_datasets are repeated at each start. "
            "Set KERAS_HOME or TFDS_DATA_DIR to keep them."
        )
        yield Note(("env",), text)


def _moving_image(written: Written) -> Iterator[Note]:
    if written.has("imagePullPolicy"):
        return
    for key, image in written.images:
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@" not in image and tag in ("", "latest"):
            text = f"a node that has {shown(image)} does not pull it again. Set a digest, or imagePullPolicy: Always."
            yield Note(key, text)
            return


_NOTES: tuple[Callable[[Written], Iterator[Note]], ...] = (
    _memory,
    _deadline,
    _retries,
    _end,
    _user,
    _home,
    _moving_image,
)
