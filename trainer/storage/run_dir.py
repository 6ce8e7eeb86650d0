"""The run directory, its files and its two rules.

The first rule: a run directory belongs to one identity hash. The second rule: a run with a DONE marker never trains
again. The files are:

    run.json      the run record and the package versions; the trainer refuses another identity hash
    DONE          the result; a task that finds this marker exits with 0
    status.json   the state of the run (`trainer.storage.status`)
    lease.json    the active chief (`trainer.storage.lease`)
    members.json  the workers of an elastic run that train together (`trainer.peers.members`)
    evaluation.json, best/    written by the evaluator (`trainer.roles.evaluator`)
    checkpoints/  logs/train/  logs/eval/  export/
"""

from __future__ import annotations

import errno
import importlib.metadata
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from trainer.runtime.config import RunRecord
from trainer.runtime.errors import ConfigError, Words
from trainer.runtime.logs import log
from trainer.runtime.serialize import now, to_json
from trainer.storage import files, records

_REFUSALS: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR})
_FOLDERS: Final = ("checkpoints", "logs", "best")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "tf-distributed"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class RunDir:
    """The directory of one run."""

    def __init__(self, path: str, record: RunRecord) -> None:
        self.path = path
        self._record = record
        self._told = False

    def at(self, *names: str) -> str:
        """Return the path of an entry of the directory."""
        return files.join(self.path, *names)

    @property
    def checkpoints(self) -> str:
        """The path of the directory of checkpoints."""
        return self.at("checkpoints")

    def sibling_checkpoints(self, run: str) -> str:
        """Return the path of the checkpoints of another run in the same storage."""
        return files.join(self.path.rpartition("/")[0], run, "checkpoints")

    def _run_record(self) -> dict[str, Any] | None:
        return records.read(self.at("run.json"), records.RUN_RECORD)

    def done(self) -> dict[str, Any] | None:
        """Return the content of the DONE marker, or None if the run is not done.

        The marker of another run or of another identity hash does not end this run.
        """
        result = records.read(self.at("DONE"), records.DONE)
        if result is None or (result.get("run"), result.get("hash")) == (self._record.run, self._record.hash):
            return result
        if not self._told:
            self._told = True
            log.info("%s is of another run or another identity hash and counts as absent", self.at("DONE"))
        return None

    def check(self) -> None:
        """Check that the directory belongs to this run or is unused.

        Raises:
            ConfigError: run.json has another identity hash.

        """
        found = self._run_record()
        if found is not None and found.get("hash") != self._record.hash:
            raise ConfigError(
                self.at("run.json"),
                got=Words(f"the identity hash {found.get('hash')!r} of another configuration"),
                expected=f"{self._record.hash!r}",
                fix="Give this run another name, or delete the directory if its run is not needed",
            )

    def claim(self) -> None:
        """Create the directory and run.json if they do not exist.

        Raises:
            ConfigError: run.json has another identity hash, or a folder of the directory is a link.

        """
        files.make_directory(self.path)
        self.check()
        for folder in _FOLDERS:
            if files.is_link(self.at(folder)):
                raise ConfigError(
                    self.at(folder),
                    got=Words("a link"),
                    expected="a folder, because another run may have made the link",
                    fix="Delete the link",
                )
        if self._run_record() is None:
            text = to_json({**self._record.raw, "versions": _versions(), "created": now()}, indent=2)
            files.write_text(self.at("run.json"), text)

    @contextmanager
    def must_be_writable(self) -> Iterator[None]:
        """Raise a `ConfigError` when the storage denies write access within the block.

        Raises:
            ConfigError: the storage is read-only, or permissions are missing.

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
                "RUN_DIR",
                got=Words(f"{self.path!r}, which cannot be written ({reason})"),
                expected="a writable directory",
                fix="Set storage to a writable one, or grant write access to runAsUser or serviceAccountName",
            ) from error

    def write_done(self, result: dict[str, Any]) -> None:
        """Write the DONE marker of this run with `result`. This is the last write of a run."""
        owner = {"run": self._record.run, "hash": self._record.hash}
        files.write_text(self.at("DONE"), to_json({**owner, **result}, indent=2))

    def read_status(self) -> dict[str, Any] | None:
        """Return the content of status.json, or None if it does not exist."""
        return records.read(self.at("status.json"), records.STATUS)

    def read_evaluation(self) -> dict[str, Any]:
        """Return the content of evaluation.json (`trainer.storage.evaluation_record`), or {} if it does not exist."""
        return records.read(self.at("evaluation.json"), records.EVALUATION) or {}

    def early_stop(self) -> dict[str, Any] | None:
        """Return the step and the reason of early stopping, or None if the evaluator has not stopped the run."""
        return self.read_evaluation().get("stop")
