"""The files of a run directory in which another run of the same storage has written."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tfd import records
from tfd.local.report import _print_result
from tfd.remote.render import _facts


def link(path: Path) -> None:
    (path.parent / "other").write_text('{"step": 7}')
    path.symlink_to(path.parent / "other")


TRAPS: dict[str, Callable[[Path], object]] = {
    "link": link,
    "named pipe": os.mkfifo,
    "folder": Path.mkdir,
    "large": lambda path: path.write_text(" " * records.LARGEST + '{"step": 7}'),
    "not UTF-8": lambda path: path.write_bytes(b'{"state": "\xff"}'),
    "deep": lambda path: path.write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "list": lambda path: path.write_text("[7]"),
    "digits": lambda path: path.write_text('{"step": ' + "9" * 5000 + "}"),
}

HUGE = "9" * 400
"""An integer above the range of floats, which JSON allows."""


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_everything_but_a_small_regular_file_is_empty(tmp_path: Path, trap: Callable[[Path], object]) -> None:
    trap(tmp_path / "status.json")
    assert records.read(tmp_path / "status.json") == {}


@pytest.mark.parametrize(
    "name",
    ["step", "steps", "stepsPerSecond", "etaSeconds", "loss", "restarts", "lastCheckpoint", "metrics", "updated"],
)
@pytest.mark.parametrize(
    "value",
    ['"x"', "[]", "{}", "true", "NaN", "1e999", HUGE, '{"a": "b"}', '{"step": "b"}', f'{{"step": {HUGE}}}', "7"],
)
def test_wrong_types_are_left_out_and_the_rest_is_shown(name: str, value: str) -> None:
    text = f'{{"state": "running", "step": 5, "steps": 10, "{name}": {value}}}'
    found = records.parse(text)
    assert found["state"] == "running"
    console = Console(file=io.StringIO())
    _print_result(found, console)
    assert isinstance(_facts(found), list)
