"""Every card is in git, so that a review of this project sees what a reviewer of a run will see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.rendering import GOLDEN
from tests.unit.review.cases import CASES, golden
from tests.unit.review.repositories import build
from tfd.review.output.comment import LIMIT, MARKER

CARDS = GOLDEN / "review"


@pytest.mark.parametrize("name", CASES)
def test_card_is_the_golden_one(name: str) -> None:
    assert golden(name, CASES[name]) == (CARDS / f"{name}.md").read_text(), "if it is meant: make golden"


def test_every_case_has_a_card_and_every_card_a_case() -> None:
    assert {path.stem for path in CARDS.iterdir()} == set(CASES)
    assert len(CASES) >= 25


@pytest.mark.parametrize("name", ["new-run", "mutable-archived", "hostile-markdown", "rule-registry-of-tensorboard"])
@pytest.mark.parametrize("style", ["markdown", "json", "text"])
def test_two_reviews_are_the_same_bytes(name: str, style: str, tmp_path: Path) -> None:
    """Also when Python puts its sets in another order."""
    folder = build(tmp_path / "r", CASES[name]).folder
    command = [sys.executable, "-m", "tfd", "review", "--base", "main", "--head", "head", "--format", style]
    first, second = (
        subprocess.run(
            [*command, "--repo", folder], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second != b""


@pytest.mark.parametrize("path", sorted(CARDS.glob("*.md")), ids=lambda path: path.stem)
def test_card_says_the_verdict_first(path: Path) -> None:
    text = path.read_text()
    if path.stem.startswith("cant-tell") and not text.startswith("<"):
        return
    assert text.startswith(f"{MARKER}\n### ")
    assert len(text.encode()) <= LIMIT


def test_every_exit_code_has_a_card() -> None:
    ends = {path.read_text().splitlines()[-1] for path in CARDS.iterdir()}
    assert {"exit code 0", "exit code 1", "exit code 2"} <= ends
