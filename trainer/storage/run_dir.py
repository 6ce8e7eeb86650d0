"""The run directory: what is in it, and the two rules that keep it sound.

In it are:
    run.json      the record and the versions; another identity hash in the same directory is refused
    DONE          the result; makes a run at most once: a task that finds it ends with 0
    status.json   where the run is, for people and programs
    lease.json    which chief is at work here (`trainer.storage.lease`)
    evaluation.json, best/    the evaluator's (`trainer.roles.evaluator`)
    checkpoints/  logs/train/  logs/eval/  export/
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from trainer.runtime.config import RunRecord
from trainer.runtime.errors import ConfigError
from trainer.runtime.serialize import now, to_json
from trainer.runtime.types import Json
from trainer.storage import files

_REFUSALS: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "tf-distributed"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class RunDir:
    """One run's directory."""

    def __init__(self, path: str, record: RunRecord) -> None:
        self.path = path
        self._record = record

    def at(self, *names: str) -> str:
        """Return the path of something in the directory."""
        return files.join(self.path, *names)

    @property
    def checkpoints(self) -> str:
        """Where the checkpoints are."""
        return self.at("checkpoints")

    def sibling_checkpoints(self, run: str) -> str:
        """Return where the checkpoints of another run in the same storage are."""
        return files.join(self.path.rpartition("/")[0], run, "checkpoints")

    def _read(self, name: str) -> dict[str, Any] | None:
        text = files.read_text(self.at(name))
        if text is None:
            return None
        try:
            value = json.loads(text)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def _check_hash(self, name: str, found: Json) -> None:
        if found != self._record.hash:
            raise ConfigError(
                f"{self.at(name)}: got hash {found!r}: must be {self._record.hash!r}: the directory holds a run with "
                "another configuration: give this run another name, or delete the directory if that run is not needed"
            )

    def done(self) -> dict[str, Any] | None:
        """Return the result if the run is done.

        Raises:
            ConfigError: another run was done in this directory.

        """
        result = self._read("DONE")
        if result is not None:
            self._check_hash("DONE", result.get("hash"))
        return result

    def check(self) -> None:
        """Check that the directory belongs to this run.

        Raises:
            ConfigError: it belongs to another one.

        """
        if (found := self._read("run.json")) is not None:
            self._check_hash("run.json", found.get("hash"))

    def claim(self) -> None:
        """Create the directory and its run.json, if they are not there yet."""
        files.make_directory(self.path)
        self.check()
        if self._read("run.json") is None:
            text = to_json({**self._record.raw, "versions": _versions(), "created": now()}, indent=2)
            files.write_text(self.at("run.json"), text)

    @contextmanager
    def must_be_writable(self) -> Iterator[None]:
        """Turn the refusal of the storage to write into a wrong configuration.

        Raises:
            ConfigError: the storage has refused.

        """
        try:
            yield
        except Exception as error:
            names = {cls.__name__ for cls in type(error).__mro__}
            refused = isinstance(error, OSError) and error.errno in _REFUSALS
            if not refused and not names & {"PermissionDeniedError", "UnauthenticatedError"}:
                raise
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise ConfigError(
                f"RUN_DIR: got {self.path!r}: can't be written ({reason}): set storage to one that this task may write "
                "to, or give its user (runAsUser, serviceAccountName) the right to"
            ) from error

    def write_done(self, result: dict[str, Any]) -> None:
        """Write DONE, the last thing a run does."""
        files.write_text(self.at("DONE"), to_json(result, indent=2))

    def read_status(self) -> dict[str, Any] | None:
        """Return the content of status.json, None when there is none."""
        return self._read("status.json")

    def read_evaluation(self) -> dict[str, Any]:
        """Return the content of evaluation.json (`trainer.storage.evaluation_record`), empty when there is none."""
        return self._read("evaluation.json") or {}

    def early_stop(self) -> dict[str, Any] | None:
        """Return where and why the evaluator has told the run to end, None when it has not."""
        stop = self.read_evaluation().get("stop")
        return stop if isinstance(stop, dict) else None
