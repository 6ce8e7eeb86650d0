from __future__ import annotations

import errno
import os
import re

import pytest
import tensorflow as tf

from trainer.runtime import errors, exit_codes


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.UnavailableError(None, None, "failed to connect"),
        tf.errors.AbortedError(None, None, "x"),
        tf.errors.DeadlineExceededError(None, None, "x"),
        tf.errors.CancelledError(None, None, "x"),
        tf.errors.InternalError(None, None, "Collective ops is aborted by: recvmsg:Connection reset by peer"),
        tf.errors.InvalidArgumentError(None, None, "Unable to find the relevant tensor remote_handle: Op ID: 5"),
        errors.LostPeer("the checkpoint is not there"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_lost_peer_is_retryable(error: Exception) -> None:
    assert errors.is_lost_peer(error)
    assert errors.code_for(error) == exit_codes.RETRYABLE


@pytest.mark.parametrize(
    "error",
    [
        ValueError("connection refused"),
        ConnectionRefusedError("connection refused"),
        tf.errors.InternalError(None, None, "CUDA: out of luck"),
        tf.errors.InvalidArgumentError(None, None, "shapes do not match"),
        tf.errors.InvalidArgumentError(
            None, None, "bad data\nAdditional GRPC error information from remote target /job:worker/replica:0/task:1"
        ),
        tf.errors.OutOfRangeError(None, None, "End of sequence"),
        tf.errors.ResourceExhaustedError(None, None, "OOM"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_task_failures(error: Exception) -> None:
    assert errors.code_for(error) == exit_codes.FAILED


def test_lost_peer_is_detected_as_the_cause_of_another_error() -> None:
    error = RuntimeError("saving failed")
    error.__cause__ = tf.errors.UnavailableError(None, None, "x")
    assert errors.code_for(error) == exit_codes.RETRYABLE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x", got=1, expected="2", fix="Set x: 2"), 2),
        (errors.TaskFailed("x"), 1),
        (errors.GaveUp("x"), 76),
        (errors.Stopped("x"), 143),
    ],
)
def test_trainer_exits_carry_their_code(error: errors.TrainerExit, code: int) -> None:
    assert errors.code_for(error) == code


def test_permanent_failure_of_a_peer_is_read_from_the_error_text() -> None:
    text = f"Collective ops is aborted by: {errors.TASK_FAILED_MARK}: worker-1: ValueError: boom\nmore"
    reported = errors.from_peer(tf.errors.UnavailableError(None, None, text))
    assert reported is not None
    assert errors.code_for(reported) == exit_codes.FAILED
    assert errors.summary(reported) == "a peer has failed: worker-1: ValueError: boom"
    assert errors.from_peer(ValueError("boom")) is None


@pytest.mark.parametrize("rest", ["", "\n", "\nmore", "\r"])
def test_permanent_failure_of_a_peer_may_have_no_text(rest: str) -> None:
    reported = errors.from_peer(ValueError(f"aborted by: {errors.TASK_FAILED_MARK}{rest}"))
    assert reported is not None
    assert errors.summary(reported) == "a peer has failed"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("boom\nmore"), "ValueError: boom"),
        (ValueError(), "ValueError"),
        (ValueError("in user code:\n\n    File x\n\n    KeyError: 'label'\n"), "KeyError: 'label'"),
        (errors.GaveUp("a\n b"), "a b"),
        (
            tf.errors.InvalidArgumentError(
                None,
                None,
                "Graph execution error:\n\nDetected at node x\n<stack traces unavailable>\nbad data\n\t [[{{n}}]]",
            ),
            "InvalidArgumentError: bad data",
        ),
    ],
)
def test_summary_of_an_error_is_one_line(error: Exception, line: str) -> None:
    assert errors.summary(error) == line


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        tf.errors.ResourceExhaustedError(None, None, "/runs/x/ckpt-5.index; No space left on device"),
        tf.errors.UnknownError(None, None, "write: Disk quota exceeded"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_full_storage_is_retryable_and_its_message_names_the_fix(error: Exception) -> None:
    assert errors.code_for(error) == 75
    assert errors.summary(error).startswith("the storage is full: ")
    assert errors.summary(error).endswith("Free some space; the run resumes from its last checkpoint.")


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOENT, "x"), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), ValueError("x")],
)
def test_other_errors_do_not_count_as_full_storage(error: Exception) -> None:
    assert not errors.is_storage_full(error)


@pytest.mark.parametrize(
    ("got", "text"),
    [
        (0, "0"),
        ("a", '"a"'),
        (None, "null"),
        (True, "true"),
        (errors.NOTHING, "nothing"),
        (errors.Words("invalid JSON (line 1\nline 2)"), "invalid JSON (line 1 line 2)"),
        ("x" * 200, f'"{"x" * 79}...'),
    ],
)
def test_refusals_follow_the_message_grammar(got: object, text: str) -> None:
    error = errors.ConfigError("worker.replicas", got=got, expected="1 or more", fix="Set worker.replicas: 1")
    assert str(error) == f"worker.replicas: got {text}; expected 1 or more. Set worker.replicas: 1."
    assert re.fullmatch(r"\S.*?: got .+; expected .+\. [A-Z].+\.", str(error))
