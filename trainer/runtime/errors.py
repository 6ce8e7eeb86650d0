"""The exceptions that carry exit codes, and the TensorFlow errors that mean a lost peer.

    TrainerExit
    +-- ConfigError  BAD_CONFIG  an input is invalid: a retry cannot help
    +-- TaskFailed   FAILED      a task of the run, or a custom script, failed permanently
    +-- LostPeer     RETRYABLE   another task of the run became unreachable: a retry helps
    +-- LostLease    RETRYABLE   another chief took over the run directory
    +-- GaveUp       GAVE_UP     a wait exceeded its time limit
    +-- Stopped      STOPPED     SIGTERM or SIGINT

`trainer.runtime.exit_codes` has the numbers. Full storage exits with RETRYABLE, because a retry may find free space.
Any other exception comes from the task's own code and exits with FAILED. The watchdog (`trainer.peers.watchdog`) kills
the process when TensorFlow blocks it, which Kubernetes reports as KILLED.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar, Final

from trainer.runtime import exit_codes

TASK_FAILED_MARK: Final = "tf-distributed task failed"
"""Starts the message by which a failing MultiWorkerMirrored worker tells its peers that there is no next attempt."""

_LOST_PEER_ERRORS: Final = frozenset({"UnavailableError", "AbortedError", "DeadlineExceededError", "CancelledError"})

# Errors of other classes that TensorFlow raises when a peer went away or came back as a new process.
_LOST_PEER_TEXTS: Final = (
    "collective ops is aborted",
    "connection reset by peer",
    "connection refused",
    "failed to connect to all addresses",
    "socket closed",
    "recvmsg:",
    "broken pipe",
    "coordination service",
    "unable to find the relevant tensor remote_handle",
    "unable to find a context_id",
    "unknown device",
)
_TEXT_MATTERS_FOR: Final = frozenset(
    {"InternalError", "UnknownError", "InvalidArgumentError", "FailedPreconditionError", "NotFoundError"}
)


_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ROOM_TEXTS: Final = tuple(os.strerror(each).lower() for each in _NO_ROOM)
_PLACES: Final = ("Detected at node", "<stack traces", "File ", "[[", "The error could be", "node ")


class TrainerExit(Exception):
    """Ends this process with `code`; its text is the last line of the log."""

    default_code: ClassVar[int] = exit_codes.FAILED

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code


class ConfigError(TrainerExit):
    """The configuration is wrong: names the key, the value seen, the rule and what to set."""

    default_code = exit_codes.BAD_CONFIG


class TaskFailed(TrainerExit):
    """A task of the run, or a custom script, failed permanently."""


class LostPeer(TrainerExit):
    """Another task of the run became unreachable."""

    default_code = exit_codes.RETRYABLE


class LostLease(TrainerExit):
    """Another chief took over the run directory, so this one must neither write to it nor end the other tasks."""

    default_code = exit_codes.RETRYABLE


class GaveUp(TrainerExit):
    """Waited as long as the run allows."""

    default_code = exit_codes.GAVE_UP


class Stopped(TrainerExit):
    """Received SIGTERM or SIGINT."""

    default_code = exit_codes.STOPPED


_BY_CODE: Final[dict[int, type[TrainerExit]]] = {
    exit_codes.RETRYABLE: LostPeer,
    exit_codes.GAVE_UP: GaveUp,
    exit_codes.STOPPED: Stopped,
}


def from_code(code: int, message: str) -> TrainerExit:
    """Return the exception with which this task ends after another task of its run has exited with `code`.

    Codes that are not the trainer's own (those of custom scripts) become a permanent failure.
    """
    if cls := _BY_CODE.get(code):
        return cls(message)
    return TaskFailed(message, code if code == exit_codes.BAD_CONFIG else exit_codes.FAILED)


def is_tensorflow_error(error: BaseException) -> bool:
    """Say whether `error` is one of `tf.errors` (told by class name and module: TensorFlow need not be imported)."""
    return any(cls.__name__ == "OpError" and cls.__module__.startswith("tensorflow") for cls in type(error).__mro__)


def is_lost_peer(error: BaseException) -> bool:
    """Say whether `error`, or what it was raised from, means that another task of the run went away."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, LostPeer) or (is_tensorflow_error(chain) and _tells_lost_peer(chain)):
            return True
        chain = getattr(chain, "original_exception", None) or chain.__cause__
    return False


def _tells_lost_peer(error: BaseException) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _LOST_PEER_ERRORS:
        return True
    text = str(error).lower()
    return bool(names & _TEXT_MATTERS_FOR) and any(mark in text for mark in _LOST_PEER_TEXTS)


def is_storage_full(error: BaseException) -> bool:
    """Say whether `error`, or what it was raised from, means that the storage has no room left."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in _NO_ROOM:
            return True
        if is_tensorflow_error(chain) and any(mark in str(chain).lower() for mark in _NO_ROOM_TEXTS):
            return True
        chain = chain.__cause__
    return False


def code_for(error: BaseException) -> int:
    """Return the exit code that `error` ends this process with."""
    if isinstance(error, TrainerExit):
        return error.code
    return exit_codes.RETRYABLE if is_lost_peer(error) or is_storage_full(error) else exit_codes.FAILED


def summary(error: BaseException) -> str:
    """Return one line that says what `error` is: the text for our own exits, `Class: text` for all others."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if isinstance(error, TrainerExit):
        return " ".join(lines)
    if lines[0] == "in user code:":  # TensorFlow's graph tracing wraps an error and puts it last
        return lines[-1]
    if lines[0] == "Graph execution error:":  # then come the places it passed through, and the reason
        lines = [line for line in lines[1:] if not line.startswith(_PLACES)] or lines
    if is_storage_full(error):
        return f"the storage is full: {lines[0]}: make room; the run goes on from its last checkpoint"
    return f"{type(error).__name__}: {lines[0]}"


def from_peer(error: BaseException) -> TaskFailed | None:
    """Return what a peer that failed for good has told this task through `error`, None when it is another error."""
    _, mark, told = str(error).partition(TASK_FAILED_MARK)
    if not mark or isinstance(error, TrainerExit):
        return None
    return TaskFailed(f"a peer has failed{told.splitlines()[0]}")
