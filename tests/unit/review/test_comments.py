"""The golden review comments: a change of this project shows what reviewers of runs will see."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.rendering import GOLDEN
from tests.unit.review.cases import CASES, TAKEN, golden
from tests.unit.review.repositories import build
from tfd.review.output.comment import LIMIT, MARKER

COMMENTS = GOLDEN / "review"


@pytest.mark.parametrize("name", CASES)
def test_comment_equals_the_golden_one(name: str) -> None:
    assert golden(name, CASES[name]) == (COMMENTS / f"{name}.md").read_text(), (
        "if the change is intended, run: make golden"
    )


def test_every_case_has_a_golden_comment() -> None:
    assert {path.stem for path in COMMENTS.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", ["new-run", "mutable-archived", "hostile-markdown", "rule-registry-of-tensorboard"])
@pytest.mark.parametrize("style", ["markdown", "json", "text"])
def test_two_reviews_give_the_same_bytes(name: str, style: str, tmp_path: Path) -> None:
    """Even if Python iterates over its sets in another order."""
    folder = build(tmp_path / "r", CASES[name]).folder
    command = [sys.executable, "-m", "tfd", "review", "--base", "main", "--head", "head", "--format", style]
    first, second = (
        subprocess.run(
            [*command, "--repo", folder], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second != b""


@pytest.mark.parametrize("path", sorted(COMMENTS.glob("*.md")), ids=lambda path: path.stem)
def test_comment_begins_with_the_headline(path: Path) -> None:
    text = path.read_text()
    if path.stem.startswith("cannot-judge") and not text.startswith("<"):
        return
    assert text.startswith(f"{MARKER}\n### ")
    assert len(text.encode()) <= LIMIT


@pytest.mark.parametrize("path", sorted(COMMENTS.glob("*.md")), ids=lambda path: path.stem)
def test_headline_has_a_check_mark_only_without_problems_and_warnings(path: Path) -> None:
    headline, *rest = path.read_text().partition("\n### ")[2].splitlines() or [""]
    worst = next(
        (mark for mark in ("❌", "❔", "⚠️") if any(line.startswith((mark, f"- {mark}")) for line in rest)), "✅"
    )
    assert headline[:1] in ("", worst[:1])


@pytest.mark.parametrize("path", sorted(COMMENTS.glob("*.md")), ids=lambda path: path.stem)
def test_every_refusal_follows_the_message_grammar(path: Path) -> None:
    refusals = [line.removeprefix("- ❌ ") for line in path.read_text().splitlines() if line.startswith("- ❌ ")]
    for refusal in refusals:
        text = re.sub(r" \(rule `.*", "", html.unescape(re.sub("</?code>", "", refusal))).replace("`", "")
        assert re.fullmatch(r"\S.*?: got .+; expected .+\. [A-Z].+\.", text), text


@pytest.mark.parametrize("name", TAKEN)
def test_first_ten_lines_of_a_hostile_pull_request_name_what_it_takes(name: str) -> None:
    top = html.unescape("\n".join((COMMENTS / f"{name}.md").read_text().splitlines()[:10]))
    assert [text for text in TAKEN[name] if text not in top] == []
    assert "### ✅" not in top or " take" in top


def test_every_exit_code_has_a_golden_comment() -> None:
    ends = {path.read_text().splitlines()[-1] for path in COMMENTS.iterdir()}
    assert ends >= {"exit code 0", "exit code 1", "exit code 2"}
