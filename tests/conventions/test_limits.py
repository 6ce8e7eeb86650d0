"""Limits that keep the chart readable within minutes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.rendering import CHART, TEMPLATES

LONGEST_DEFINE = 60
DEEPEST_NESTING = 4
LONGEST_ROLE_FILE = 40
LONGEST_VALUES = 240
LONGEST_NOTES = 30

FILES = sorted(path for path in TEMPLATES.rglob("*") if path.is_file())
ACTION = re.compile(r"\{\{-?\s*(/\*.*?\*/|.*?)\s*-?\}\}", re.DOTALL)
DEFINE = re.compile(
    r"(?P<comment>\{\{-?\s*/\*(?:(?!\*/).)*\*/\s*-?\}\}\n)?\{\{-? define \"(?P<name>[^\"]+)\" -?\}\}", re.DOTALL
)


def defines() -> Iterator[tuple[str, str | None, int]]:
    """Yield name, comment and number of lines of each define."""
    for path in FILES:
        text = path.read_text()
        for found in DEFINE.finditer(text):
            depth, end = 0, len(text)
            for action in ACTION.finditer(text, found.start("name") - len('{{- define "')):
                word = action[1].partition(" ")[0]
                depth += word in ("define", "if", "with", "range", "block")
                depth -= word == "end"
                if depth == 0:
                    end = action.end()
                    break
            yield found["name"], found["comment"], text.count("\n", found.start("name"), end) + 1


DEFINES = list(defines())


def test_defines_are_found() -> None:
    assert len(DEFINES) == sum(path.read_text().count('define "') for path in FILES) > 10


@pytest.mark.parametrize(("name", "comment", "lines"), DEFINES, ids=[name for name, _, _ in DEFINES])
def test_define_is_short_and_documents_its_argument_and_output(name: str, comment: str, lines: int) -> None:
    assert lines < LONGEST_DEFINE
    assert name.startswith("tf-distributed.")
    assert comment, "no comment right above"
    assert "Argument: " in comment
    assert "Output: " in comment


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nesting_is_shallow(path: Path) -> None:
    depth = deepest = 0
    for action in ACTION.finditer(path.read_text()):
        word = action[1].partition(" ")[0]
        depth += word in ("if", "with", "range")
        deepest = max(deepest, depth)
        depth -= word == "end" and depth > 0
    assert deepest <= DEEPEST_NESTING


@pytest.mark.parametrize("role", ["chief", "ps", "worker", "evaluator"])
def test_role_files_only_call_the_one_job(role: str) -> None:
    lines = (TEMPLATES / f"{role}.yaml").read_text().splitlines()
    assert len(lines) < LONGEST_ROLE_FILE
    assert f'include "tf-distributed.job" (dict "root" $ "role" "{role}")' in lines[-1]


def test_values_and_notes_are_short() -> None:
    assert len((CHART / "values.yaml").read_text().splitlines()) < LONGEST_VALUES
    assert len((TEMPLATES / "NOTES.txt").read_text().splitlines()) < LONGEST_NOTES


def test_templates_call_no_function_of_clock_cluster_or_chance() -> None:
    words = (
        r"\b(now|date|ago|uuidv4|rand\w+|genCA|genSelfSignedCert|genPrivateKey|lookup|getHostByName|env|expandenv)\b"
    )
    for path in FILES:
        for action in ACTION.finditer(path.read_text()):
            code = "" if action[1].startswith("/*") else re.sub(r'"[^"]*"|[.$]\w+|\$\w+ :=', "", action[1])
            assert not re.search(rf"(^|[(|=] ?){words}", code), f"{path.name}: {action[0]}"
