"""Exit codes, the exceptions that carry them, and which TensorFlow errors mean a lost peer.

    TrainerExit
    +-- ConfigError   2    the configuration is wrong: trying again can't help
    +-- TaskFailed    1    a peer reported that its task failed for good
    +-- LostPeer     75    another task of the run went away: trying again helps
    +-- LostLease    75    another chief has taken over the run directory
    +-- GaveUp       76    waited as long as was allowed
    +-- Stopped     143    told to stop

    without an exception  137    killed by its own guard (`trainer.peers.watchdog`), because TensorFlow had frozen it

A full storage ends the process with 75: there may be room when it is tried again. Every other exception comes from the
task's own code and ends the run with 1.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar, Final

DONE: Final = 0
FAILED: Final = 1
BAD_CONFIG: Final = 2
RETRYABLE: Final = 75
"""Try again: a peer is lost, or the storage is full."""
GAVE_UP: Final = 76
KILLED: Final = 137
STOPPED: Final = 143

FINAL_CODES: Final = frozenset({DONE, FAILED, BAD_CONFIG, GAVE_UP})
"""Codes after which this run has no next attempt: the servers are told, and leave with the same code."""

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

    code: ClassVar[int] = FAILED


class ConfigError(TrainerExit):
    """The configuration is wrong: names the key, the value seen, the rule and what to set."""

    code = BAD_CONFIG


class TaskFailed(TrainerExit):
    """A peer's task failed for good, so this one must not wait for it."""

    code = FAILED


class LostPeer(TrainerExit):
    """Another task of the run went away."""

    code = RETRYABLE


class LostLease(TrainerExit):
    """Another chief has taken over the run directory, so this one must not write to it, nor end the others."""

    code = RETRYABLE


class GaveUp(TrainerExit):
    """Waited for as long as the run allows."""

    code = GAVE_UP


class Stopped(TrainerExit):
    """Told to stop by a signal."""

    code = STOPPED


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
    return RETRYABLE if is_lost_peer(error) or is_storage_full(error) else FAILED


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
