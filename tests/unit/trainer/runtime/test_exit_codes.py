"""The file of exit codes, and the exception for each code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trainer.runtime import errors, exit_codes
from trainer.runtime.exit_codes import EXIT_CODES


def test_exit_codes_are_unique_and_ascending() -> None:
    codes = [each.code for each in EXIT_CODES]
    assert codes == sorted(set(codes))
    assert len({each.name for each in EXIT_CODES}) == len(codes)


def test_meanings_and_advice_are_sentences_that_fit_into_a_markdown_table() -> None:
    for each in EXIT_CODES:
        for text in (each.meaning, each.next):
            assert text.endswith("."), text
            assert not set(text) & set("|\n"), text


def test_exit_codes_are_readable_without_tensorflow() -> None:
    program = "import sys, trainer.runtime.exit_codes; print({'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("code", "cls", "becomes"),
    [
        (exit_codes.FAILED, errors.TaskFailed, exit_codes.FAILED),
        (exit_codes.BAD_CONFIG, errors.TaskFailed, exit_codes.BAD_CONFIG),
        (exit_codes.RETRYABLE, errors.LostPeer, exit_codes.RETRYABLE),
        (exit_codes.GAVE_UP, errors.GaveUp, exit_codes.GAVE_UP),
        (exit_codes.STOPPED, errors.Stopped, exit_codes.STOPPED),
        (3, errors.TaskFailed, exit_codes.FAILED),
    ],
)
def test_exit_code_of_another_task_becomes_an_exception(code: int, cls: type, becomes: int) -> None:
    error = errors.from_code(code, "the run failed")
    assert type(error) is cls
    assert error.code == becomes
