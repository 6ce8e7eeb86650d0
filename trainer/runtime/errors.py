"""The exceptions that carry exit codes, and the TensorFlow errors that mean a lost peer.

    TrainerExit
    +-- ConfigError  BAD_CONFIG  an input is invalid: a retry cannot help
        +-- InvalidTask  FAILED  the user's `Task` returns something invalid
    +-- TaskFailed   FAILED      a task of the run, or a custom script, failed permanently
    +-- LostPeer     RETRYABLE   another task of the run became unreachable: a retry helps
        +-- GroupChange  RETRYABLE  other workers join an elastic run: this one restarts in place with them
        +-- CutOff       RETRYABLE  the network of this worker was away: it restarts in place
    +-- LostLease    RETRYABLE   another chief took over the run directory
    +-- GaveUp       GAVE_UP     a wait exceeded its time limit
    +-- Stopped      STOPPED     this process received SIGTERM or SIGINT

`trainer.runtime.exit_codes` defines the numbers. If the storage is full or fails, the process exits with RETRYABLE,
because a retry may find free space or a storage that works again. Any other exception comes from the task's own code,
and the process exits with FAILED. The watchdog (`trainer.peers.watchdog`) kills the process when TensorFlow blocks it.
Kubernetes reports that as KILLED.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from trainer.runtime import exit_codes, summaries

TASK_FAILED_MARK: Final = "tf-distributed task failed"
"""Start of the message that a MultiWorkerMirrored worker sends to its peers when it fails permanently."""

_LOST_PEER_ERRORS: Final = frozenset({"UnavailableError", "AbortedError", "DeadlineExceededError", "CancelledError"})

# TensorFlow also raises errors of other classes when a peer became unreachable or restarted. They contain these texts.
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

# A network file system gives these errors while its server or the network is unreachable.
_FAILURES: Final = frozenset(
    {
        errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.ETIMEDOUT, errno.ETIME,
        errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOLCK, errno.ENOLINK, errno.ECOMM,
        errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTDOWN, errno.EHOSTUNREACH,
        errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET,
    }
)  # fmt: skip
# TensorFlow maps these errors to several classes, which also have other causes. Its message ends with the text of the
# operating system. A server error of an object store has no such text.
_FAILURE_TEXTS: Final = (
    *(os.strerror(each).lower() for each in sorted(_FAILURES - {errno.ECONNRESET})),
    "http response code 5",
    "http response code 429",
    "libcurl code",
)


class TrainerExit(Exception):
    """The process exits with `code` and logs the message as its last line."""

    default_code: ClassVar[int] = exit_codes.FAILED

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code


class Words(str):
    """A phrase that a `ConfigError` shows without quotes in place of a value, such as `nothing`."""

    __slots__ = ()


NOTHING: Final = Words("nothing")
_LONGEST_VALUE: Final = 80


class ConfigError(TrainerExit):
    """An input is invalid.

    The message follows the grammar of all refusals: `KEY: got VALUE; expected RULE. FIX.`
    """

    default_code = exit_codes.BAD_CONFIG

    def __init__(self, key: str, *, got: object, expected: str, fix: str) -> None:
        """Compose the message from its four parts.

        Args:
            key: The dotted key, environment variable, option or path, as users write it.
            got: The invalid value, which the message shows as JSON, or `Words`.
            expected: The allowed values, as a noun phrase.
            fix: The next action of the user, as an imperative sentence without its full stop.

        """
        super().__init__(f"{key}: got {_shown(got)}; expected {expected}. {fix}.")


class InvalidTask(ConfigError):
    """A method of the user's `Task` returns something invalid."""

    default_code = exit_codes.FAILED


def _shown(value: object) -> str:
    if isinstance(value, Words):
        return " ".join(value.split())
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def one_of(choices: Iterable[str]) -> str:
    """Return the rule "one of `choices`" for the `expected` of a `ConfigError`."""
    return f"one of {', '.join(json.dumps(each) for each in choices)}"


class TaskFailed(TrainerExit):
    """A task of the run, or a custom script, failed permanently."""


class LostPeer(TrainerExit):
    """Another task of the run became unreachable."""

    default_code = exit_codes.RETRYABLE


class GroupChange(LostPeer):
    """The workers of an elastic run form another group. This one restarts in place, without a count."""


class CutOff(LostPeer):
    """The network between this worker and the chief was away. This worker restarts in place, without a count."""


class LostLease(TrainerExit):
    """Another chief took over the run directory. This process must not write to it, and must not end other tasks."""

    default_code = exit_codes.RETRYABLE


class GaveUp(TrainerExit):
    """A wait exceeded its time limit."""

    default_code = exit_codes.GAVE_UP


class Stopped(TrainerExit):
    """The process received SIGTERM or SIGINT."""

    default_code = exit_codes.STOPPED


_BY_CODE: Final[dict[int, type[TrainerExit]]] = {
    exit_codes.RETRYABLE: LostPeer,
    exit_codes.GAVE_UP: GaveUp,
    exit_codes.STOPPED: Stopped,
}


def from_code(code: int, message: str) -> TrainerExit:
    """Return the exception that ends this task after another task of the run has exited with `code`.

    Codes that the trainer does not use, such as those of custom scripts, become a permanent failure.
    """
    if cls := _BY_CODE.get(code):
        return cls(message)
    return TaskFailed(message, code if code == exit_codes.BAD_CONFIG else exit_codes.FAILED)


def is_tensorflow_error(error: BaseException) -> bool:
    """Return whether `error` is one of `tf.errors`.

    The function compares the names of class and module, so that it does not import TensorFlow.
    """
    return any(cls.__name__ == "OpError" and cls.__module__.startswith("tensorflow") for cls in type(error).__mro__)


def is_lost_peer(error: BaseException) -> bool:
    """Return whether `error` or one of its causes means that another task of the run became unreachable."""
    return any(
        isinstance(each, LostPeer) or (is_tensorflow_error(each) and _means_lost_peer(each)) for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error`, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = getattr(error, "original_exception", None) or error.__cause__


def _means_lost_peer(error: BaseException) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _LOST_PEER_ERRORS:
        return True
    text = str(error).lower()
    return bool(names & _TEXT_MATTERS_FOR) and any(mark in text for mark in _LOST_PEER_TEXTS)


def is_storage_full(error: BaseException) -> bool:
    """Return whether `error` or one of its causes means that the storage is full."""
    return _is_of_storage(error, _NO_ROOM, _NO_ROOM_TEXTS)


def is_storage_failure(error: BaseException) -> bool:
    """Return whether `error` or one of its causes is an error of the storage that may pass."""
    return _is_of_storage(error, _FAILURES, _FAILURE_TEXTS)


def _is_of_storage(error: BaseException, numbers: frozenset[int], marks: Iterable[str]) -> bool:
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in numbers:
            return True
        text = str(each).lower() if is_tensorflow_error(each) else ""
        # gRPC puts the same words into its message about a lost peer.
        if any(mark in text for mark in marks) and not any(mark in text for mark in _LOST_PEER_TEXTS):
            return True
    return False


def code_for(error: BaseException) -> int:
    """Return the exit code of this process for `error`."""
    if isinstance(error, TrainerExit):
        return error.code
    passes = is_lost_peer(error) or is_storage_full(error) or is_storage_failure(error)
    return exit_codes.RETRYABLE if passes else exit_codes.FAILED


def summary(error: BaseException) -> str:
    """Return `error` as one line: the message of a `TrainerExit`, and `Class: message` for other errors."""
    if isinstance(error, TrainerExit):
        return summaries.one_line(str(error))
    name, message = summaries.name_and_message(error)
    if is_storage_full(error):
        return f"the storage is full: {message}. Free some space; the run resumes from its last checkpoint."
    if is_storage_failure(error):
        return f"the storage failed: {message or name}"
    return f"{name}: {message}" if message else name


def from_peer(error: BaseException) -> TaskFailed | None:
    """Return the permanent failure of a peer that `error` reports, or None if `error` does not report one."""
    _, mark, reported = str(error).partition(TASK_FAILED_MARK)
    if not mark or isinstance(error, TrainerExit):
        return None
    line, _, _ = reported.partition("\n")  # TensorFlow adds lines about its graph.
    return TaskFailed(f"a peer has failed{summaries.one_line(line)}")
