"""The page of messages has what `tfd` prints when it refuses an input."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conventions.repository import ROOT
from tests.grammar import GRAMMAR
from tfd.cli import main

PAGE = (ROOT / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")
FILLED_IN = "…"


def rows(section: str) -> list[list[str]]:
    """Return the cells of the table of a section, without its head."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip(" `").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def pattern(cell: str) -> str:
    return ".*".join(map(re.escape, cell.split(FILLED_IN)))


@pytest.mark.parametrize(
    "words",
    [
        ["new", "vision/a", "--from", "vision/none"],
        ["new", "vision", "--from", "examples/digits-one-device"],
        ["new", "vision/a", "--from", "examples/digits-one-device", "--grid", "trainer.steps"],
        ["init", ".", "--team", "default"],
        ["init", ".", "--owner", "nobody"],
        ["check", "."],
        ["compare", "--from", "none"],
        ["doctor", "--claim", "runs", "--storage-class", "nfs"],
        ["workbench", "--no-editor", "--no-tensorboard"],
    ],
)
def test_refusal_of_tfd_is_on_the_page(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    printed = [line.removeprefix("Error: ") for line in done.stderr.splitlines()]
    [message] = [line for line in printed if GRAMMAR.fullmatch(line)]
    forms = [
        f"{pattern(key)}: got .+; expected {pattern(rule)}\\. {pattern(fix)}"
        for key, rule, fix in rows("Refusals of tfd")
    ]
    assert [form for form in forms if re.fullmatch(form, message)], message


def test_each_sentence_of_the_review_is_on_the_page() -> None:
    listed = "\n".join(cell for [cell] in rows("Sentences of the review"))
    missing = []
    for path in sorted((ROOT / "tfd" / "review").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "sentence":
                continue
            template = call.args[0]
            if isinstance(template, ast.Constant) and len(re.findall(r"[A-Za-z]{3,}", str(template.value))) > 2:
                missing += [template.value] if str(template.value).replace("{}", FILLED_IN) not in listed else []
    assert missing == []
