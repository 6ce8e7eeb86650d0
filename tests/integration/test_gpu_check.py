"""`python -m bench.gpu --cpu`: the check itself runs from its first case to its report, without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.rendering import ROOT

pytestmark = pytest.mark.processes


def test_the_check_runs_all_its_cases_without_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.gpu", "--cpu", "--quick", "--json", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    report = json.loads(done.stdout)
    wrong = [each for each in report["cases"] if each["result"]["status"] != "ok"]
    assert (done.returncode, wrong) == (0, []), done.stderr
    assert report["complete"] and report == json.loads((tmp_path / "report.json").read_text())
    groups = [each["case"]["group"] for each in report["cases"]]
    assert groups == ["program", "task", "batch", "jpeg", "pair", "pair", "pair"]
    by_group = {each["case"]["group"]: each["result"] for each in report["cases"]}
    assert by_group["program"]["metrics"]["accuracy"] > 0.9
    assert by_group["task"]["replicas"] == 2
    assert by_group["batch"]["flopsPerExample"] > 0
    assert "its numbers mean nothing" in (tmp_path / "report.md").read_text()
