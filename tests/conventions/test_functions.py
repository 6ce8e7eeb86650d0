"""Functions fit on a screen."""

import ast
from collections.abc import Iterator

from tests.conventions.repository import ROOT, tracked

LONGEST_FUNCTION = 60


def functions(name: str) -> Iterator[tuple[str, int]]:
    """Yield name and number of lines of each function of a Python file."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_functions_have_at_most_60_lines() -> None:
    lengths = {(name, *each): each[1] for name in tracked() if name.endswith(".py") for each in functions(name)}
    assert len(lengths) > 500
    assert [where for where, lines in lengths.items() if lines > LONGEST_FUNCTION] == []
