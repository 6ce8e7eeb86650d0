"""The pages of promises name the test of each promise, and each named test exists."""

import re
from pathlib import Path

import pytest

from tests.conventions.repository import ROOT

PAGES = [ROOT / "docs/platform/threat-model.md", ROOT / "docs/guarantees.md"]
NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_tests_exist(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert named
    for path, name in named:
        assert re.search(rf"^(    )?def {name}\(", (ROOT / path).read_text(), re.M), f"{path}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_promise_names_a_test(page: Path) -> None:
    """A row of a table whose last column is `test` names one."""
    tables = re.findall(r"^\|.*\| test \|\n\|[-| ]+\|\n((?:\|.*\n)+)", page.read_text(), re.M)
    assert tables
    for table in tables:
        for row in table.splitlines():
            assert NAMED.search(row), row
