"""The table of the traps of Argo CD names existing tests, and no run falls into a trap."""

import ast
import re
from pathlib import Path

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, objects

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = (ROOT / "docs" / "decisions" / "0021-argo-cd-traps.md").read_text()
TEMPLATES = sorted((ROOT / "charts" / "tf-distributed" / "templates").rglob("*"))
FILES = EXAMPLES + ACCEPTED


def rows() -> dict[int, str]:
    """Return the rows of the table by the number of the trap."""
    found = re.findall(r"^\| (\d+) \|(.*)\|$", TABLE, flags=re.M)
    return {int(number): row for number, row in found}


def test_every_trap_has_a_row_with_a_test_or_why_there_is_none() -> None:
    assert list(rows()) == list(range(1, 25))
    for number, row in rows().items():
        last = row.rpartition("|")[2]
        assert "::" in last or last.strip().startswith("none: "), number


def test_every_test_that_the_table_names_exists() -> None:
    named = re.findall(r"`([\w/]+)::(\w+)`", "\n".join(rows().values()))
    assert len(named) > 24
    for file, function in named:
        folder, _, stem = file.rpartition("/")
        [path] = (ROOT / "tests" / folder).glob(f"test_{stem}.py") if folder else found(stem, function)
        assert f"test_{function}" in functions(path), f"{file}::{function}"


def found(stem: str, function: str) -> list[Path]:
    """Return the test files named `stem` below tests/ that define the test `function`."""
    return [path for path in (ROOT / "tests").rglob(f"test_{stem}.py") if f"test_{function}" in functions(path)]


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_baseline_scenario_is_in_the_table() -> None:
    scenarios = functions(ROOT / "tests" / "e2e" / "test_gitops_baseline.py")
    named = {f"test_{name}" for name in re.findall(r"`gitops_baseline::(\w+)`", TABLE)}
    assert {name for name in scenarios if name.startswith("test_")} == named


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_run_has_a_ttl_a_hook_or_a_wave(path: Path) -> None:
    for each in objects(path):
        annotations = each["metadata"].get("annotations", {})
        waits = {key for key in annotations if key.startswith("argocd.argoproj.io/") and "sync-options" not in key}
        assert waits | {key for key in annotations if "hook" in key} == set()
        assert "ttlSecondsAfterFinished" not in each.get("spec", {})


def test_no_template_reads_the_revision_of_the_release() -> None:
    texts = {path.name: path.read_text() for path in TEMPLATES if path.is_file()}
    assert "_pod.tpl" in texts
    asked = r"\.Release\.(Revision|IsUpgrade|IsInstall)"
    assert [name for name, text in texts.items() if re.search(asked, text)] == []
