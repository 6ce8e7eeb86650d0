"""One useful line for each error: recorded texts of Keras and TensorFlow, and the kinds of Python errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.runtime import errors

RECORDED = json.loads((Path(__file__).parent / "recorded" / "errors.json").read_text())


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_error_has_its_useful_line(name: str) -> None:
    recorded = RECORDED[name]
    error = type(recorded["class"], (Exception,), {})(recorded["text"])
    line = errors.summary(error)
    assert line == recorded["line"]
    assert "Arguments received" not in line
    assert "_empty" not in line
    assert "{{function_node" not in line
    assert "\x1b" not in line
    assert len(line) < 500


def test_recorded_errors_cover_their_kinds() -> None:
    texts = " ".join(each["text"] for each in RECORDED.values())
    for kind in (
        "in user code:", "Arguments received by", "Graph execution error:", "root error(s) found", "{{function_node",
        "Hint: If you want to see", "[_XlaMustCompile", "Traceback (most recent call last)", "Error encountered:",
    ):  # fmt: skip
        assert kind in texts, f"no recorded error has {kind!r}"


def raised(error: BaseException) -> BaseException:
    """Return `error` with a traceback and with its cause, as a task would raise it."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001, RUF100 - any error
        return caught


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


class Broken(Exception):
    """An error whose own text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Original(Exception):
    """An error that keeps the one that it reports, as those of ParameterServer's closures do."""

    original_exception = KeyError("label")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (caused(RuntimeError("cannot read part-7"), KeyError("y")), "RuntimeError: cannot read part-7 (KeyError: 'y')"),
        (caused(RuntimeError("no label: 'y'"), KeyError("y")), "RuntimeError: no label: 'y'"),
        (
            ExceptionGroup("two shards failed", [ValueError("boom\nmore"), KeyError("x")]),
            "ExceptionGroup: two shards failed (2 sub-exceptions): ValueError: boom",
        ),
        (Original("the closure failed"), "KeyError: 'label'"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError("\n\n  first\n"), "ValueError: first"),
        (ValueError("node 3 is not connected"), "ValueError: node 3 is not connected"),
        (ValueError("the labels:\n  7\n  8"), "ValueError: the labels: 7 8"),
        (ValueError("größer als 1 ≤ \U0001f600"), "ValueError: größer als 1 ≤ \U0001f600"),
        (ValueError("\x1b[31mred\x1b[0m \x00\x07beep \u202eabc \ud800"), "ValueError: red beep abc ?"),
        (ValueError("x" * 10_000), f"ValueError: {'x' * 400}..."),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
         "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (errors.TaskFailed("dataset: \x1b[1mboom\x1b[0m\n at once"), "dataset: boom at once"),
        (ValueError(7, "two"), "ValueError: (7, 'two')"),
        (ValueError("in user code:"), "ValueError: in user code:"),
        (Broken(), "Broken"),
    ],
)  # fmt: skip
def test_error_of_a_task_has_its_useful_line(error: BaseException, line: str) -> None:
    assert errors.summary(error) == line


def test_error_without_a_text_names_its_place() -> None:
    def dataset() -> None:
        assert [] == [1]

    with pytest.raises(AssertionError) as caught:
        dataset()
    caught.value.args = ()
    line = errors.summary(caught.value)
    assert line.startswith('AssertionError: raised by "assert [] == [1]" in ')
    assert line.rpartition(", line ")[2].isdecimal()
    assert errors.summary(raised(StopIteration())).startswith('StopIteration: raised by "raise error" in ')
