"""Every display takes every value of a JSON file: a run that diverged writes null, and a script anything."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.unit.tfd.test_local import little_task
from tfd.local.report import as_json, print_report
from tfd.local.run import Result
from tfd.local.view import LiveView
from tfd.remote.progress import from_lines
from tfd.remote.render import render
from tfd.remote.status import Status
from tfd.text import duration, json_text, metric, number

VALUES: list[Any] = [
    None, math.nan, math.inf, -math.inf, 0, -0.0, 1, -1, 0.5, 1e-9, 5e-324, -1e-30, 1e300, -1e308, 10**30, 10**400,
    True, "NaN", "", "text", [], [math.nan], {}, {"step": math.nan},
]  # fmt: skip
IDS = [f"{type(each).__name__} {str(each)[:12]}" for each in VALUES]
FIELDS = ("step", "steps", "stepsPerSecond", "etaSeconds", "loss", "lastCheckpoint", "restarts", "metrics", "updated",
          "lossIsNotANumber", "message", "exitCode")  # fmt: skip


def strict(text: str) -> Any:
    """Return the content of JSON; fail for NaN and Infinity, which other programs do not read."""
    return json.loads(text, parse_constant=pytest.fail)


def shown(known: dict[str, Any]) -> str:
    """Return what `tfd status` prints."""
    out = io.StringIO()
    status = Status("run", "team", "OneDevice", "running", "", [], known)
    Console(file=out, width=200).print(render(status))
    strict(json_text(status.as_json()))
    return out.getvalue()


def reported(done: dict[str, Any], tmp_path: Path) -> str:
    """Return what `tfd run` prints at its end."""
    out = io.StringIO()
    result = Result("run", 0, 1.0, (), None, (), None, tmp_path, done, already_done=False)
    print_report(result, Console(file=out, width=200))
    strict(json_text(as_json(result)))
    return out.getvalue()


@pytest.mark.parametrize("value", VALUES, ids=IDS)
def test_any_value_can_be_shown(value: Any, tmp_path: Path) -> None:
    for function in (number, metric, duration):
        assert isinstance(function(value), str)
    usual = {"state": "running", "step": 5, "steps": 10, "loss": 0.5}
    task, tail = little_task(tmp_path)
    for field in FIELDS:
        known = {**usual, field: value}
        assert "run in team" in shown(known)
        with LiveView(Console(file=io.StringIO(), force_terminal=True)) as view:
            view.update([task], [tail], known)
            view._live.refresh()
    for field in ("metrics", "step", "stepsPerSecond"):
        assert "run is done" in reported({"step": 10, "metrics": {"loss": 0.5}, field: value}, tmp_path)
    assert "(evaluation data)" in reported({"metrics": {"loss": value}}, tmp_path)
    assert "(evaluation data)" in shown({**usual, "metrics": {"loss": value}})


def test_value_that_is_not_a_number_is_told_by_words(tmp_path: Path) -> None:
    assert "loss          not a number (evaluation data)" in reported({"metrics": {"loss": None}}, tmp_path)
    known = {"step": 5, "steps": 10, "loss": None, "lossIsNotANumber": True, "metrics": {"loss": None}}
    assert "5/10 (50 %), loss not a number" in shown(known)
    assert "loss -" not in shown({**known, "lossIsNotANumber": False})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98765, "0.9877"), (0.0000012345, "1.234e-06"), (123456.7, "123,457"), (1e20, "1e+20"), (-0.5, "-0.5")],
)
def test_metric_keeps_its_digits(value: float, text: str) -> None:
    assert metric(value) == text


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("step 5/10 loss not a number 2 steps/s", {"lossIsNotANumber": True, "stepsPerSecond": 2, "etaSeconds": 2.5}),
        ("step 5/10 loss 1.5e-07 2.0 steps/s", {"loss": 1.5e-07, "stepsPerSecond": 2.0, "etaSeconds": 2.5}),
        ("step 5/10 loss - 2.0 steps/s", {"stepsPerSecond": 2.0, "etaSeconds": 2.5}),
        ("step 5/10 loss e.+- ... steps/s", {}),
        ("step 5/10 loss 1.2.3 4.5.6 steps/s", {"loss": 1.2}),
    ],
)  # fmt: skip
def test_line_of_a_log_with_any_loss_can_be_read(line: str, known: dict[str, Any]) -> None:
    assert from_lines(line) == {"step": 5, "steps": 10, **known}
