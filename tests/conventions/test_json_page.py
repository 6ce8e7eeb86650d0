"""The page of the JSON output has the fields that the commands print, and no others."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from tests.conventions.repository import ROOT
from tfd.importing.ledger import FATES
from tfd.review.analysis.argocd import BlockedTeam
from tfd.review.analysis.findings import Finding, Suggestion
from tfd.review.analysis.rights import Right, Rights
from tfd.review.output.json_report import camel
from tfd.review.sources.rendering import Role
from tfd.review.sources.workloads import ResourceRequest
from tfd.workers import Workers
from trainer.check.report import Report

PAGE = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
# Section -> the functions that write the JSON, as FILE:FUNCTION, where one function stands for all of the file.
SOURCES: dict[str, list[str]] = {
    "chart-diff": ["commands/chart_diff.py:_machine"],
    "check": ["jobfile/jobfile.py:as_json"],
    "compare": ["comparing/compared.py:as_json", "commands/compare.py:command"],
    "doctor": ["doctor/finding.py:as_json", "commands/doctor.py:command"],
    "import": ["importing/report.py:as_json", "importing/report.py:_line_as_json"],
    "init": ["commands/init.py:command"],
    "plan": ["planning/report.py:as_json", "planning/report.py:_row"],
    "review": [f"review/output/json_report.py:{name}" for name in ("as_json", "_run", "_queue", "_change")],
    "run": ["local/report.py:as_json"],
    "runs": ["remote/runs.py:as_json", "commands/runs.py:_as_json"],
    "status": ["remote/status.py:as_json", "remote/progress.py:progress"],
    "workbench": ["remote/workbench.py:as_json"],
    "try": [],
}
# Dataclasses whose fields are printed.
CLASSES: dict[str, list[type]] = {
    "review": [Role, ResourceRequest, Rights, Right, Finding, Suggestion, BlockedTeam],
    "runs": [Workers],
    "try": [Report],
}
# Fields that a loop writes, and those of an error of the trainer.
OTHERS = {"import": set(FATES), "try": {"error", "exitCode"}}


def keys(source: str) -> Iterator[str]:
    """Yield the keys of the dictionaries in the functions of one name of a file."""
    path, _, name = source.partition(":")
    for function in ast.walk(ast.parse((ROOT / "tfd" / path).read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef) and function.name == name:
            for node in ast.walk(function):
                if isinstance(node, ast.Dict):
                    yield from (each.value for each in node.keys if isinstance(each, ast.Constant))


def printed(command: str) -> set[str]:
    names = {key for source in SOURCES[command] for key in keys(source)}
    names |= {camel(field.name) for each in CLASSES.get(command, []) for field in fields(each)}
    return names | OTHERS.get(command, set())


def section(command: str) -> str:
    return PAGE.partition(f"\n## `tfd {command}`\n")[2].partition("\n## ")[0]


def words(text: str) -> set[str]:
    """Return the names in the code spans of a text."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", text))))


@pytest.mark.parametrize("command", SOURCES)
def test_page_lists_each_field(command: str) -> None:
    assert printed(command)
    assert sorted(printed(command) - words(section(command))) == []


@pytest.mark.parametrize("command", SOURCES)
def test_each_field_of_the_page_is_printed(command: str) -> None:
    rows = [line for line in section(command).splitlines() if line.startswith("| `")]
    listed = words(" ".join(line.split("|")[1] for line in rows))
    assert sorted(listed - printed(command) - {"cost"}) == []


def test_page_has_each_command_with_json_output() -> None:
    commands = {
        path.stem.rstrip("_").replace("_", "-"): path.read_text(encoding="utf-8")
        for path in (ROOT / "tfd" / "commands").glob("*.py")
    }
    with_json = {name for name, text in commands.items() if '"--json"' in text or "json_report" in text}
    assert with_json | {"try"} == set(SOURCES)
    assert set(re.findall(r"^## `tfd ([\w-]+)`$", PAGE, flags=re.M)) == set(SOURCES)
