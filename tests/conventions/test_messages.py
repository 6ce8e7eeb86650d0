"""Every message that refuses an input reads `KEY: got VALUE; expected RULE. FIX.`"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rejected import cases
from tests.chart.rendering import CHART, ROOT
from tests.grammar import GRAMMAR

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PREFIX = "tf-distributed: "
# A hint begins with an imperative and ends with a full stop.
IMPERATIVE = re.compile(r"(Set|Use|Put|Remove|Rename|Quote|Write) .+\.")
# These files build refusals from their parts, or parse them.
BUILDERS = {
    "devcluster/shell.py",
    "tfd/text.py",
    "trainer/runtime/errors.py",
    "trainer/engine/batches.py",
    "tfd/review/analysis/findings.py",
    "tfd/review/analysis/fixes.py",
}
REFUSING = {"ConfigError", "refusal"}


def hints(node: Any = SCHEMA) -> Iterator[str]:
    """Yield every x-hint of the schema."""
    if isinstance(node, dict):
        if isinstance(node.get("x-hint"), str):
            yield node["x-hint"]
        for child in node.values():
            yield from hints(child)


def expected_by_helm_unittest() -> Iterator[str]:
    """Yield the messages that helm-unittest compares."""
    for suite in yaml.safe_load_all((CHART / "tests" / "validate_test.yaml").read_text()):
        for test in suite["tests"]:
            for assertion in test["asserts"]:
                if "failedTemplate" in assertion:
                    yield assertion["failedTemplate"]["errorMessage"]


def sources() -> list[Path]:
    """Return the Python files of the programs."""
    return [
        path for folder in ("tfd", "trainer", "devcluster", "release") for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls that refuse an input, with the name of the function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSING:
            yield node.func.id, node


def text_of(node: ast.AST) -> str:
    """Return the text of a string literal, with `{}` for each expression in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    return ""


def test_rejected_corpus_has_the_grammar() -> None:
    wrong = [case.error for case in cases() if not GRAMMAR.fullmatch(case.message)]
    assert wrong == []


def test_messages_in_helm_unittest_have_the_grammar() -> None:
    messages = list(expected_by_helm_unittest())
    assert len(messages) > 20
    assert [text for text in messages if not text.startswith(PREFIX)] == []
    assert [text for text in messages if not GRAMMAR.fullmatch(text.removeprefix(PREFIX))] == []


def test_messages_of_argocd_have_the_grammar() -> None:
    text = "".join(path.read_text() for path in sorted((ROOT / "argocd" / "templates").glob("validate*.yaml")))
    messages = re.findall(r'fail (?:\(printf )?"((?:[^"\\]|\\.)*)"', text)
    assert len(messages) == text.count("fail ")
    assert [each for each in messages if not GRAMMAR.fullmatch(each.removeprefix(PREFIX))] == []


def test_hints_of_the_schema_are_imperative_sentences() -> None:
    found = list(hints())
    assert len(found) > 50
    assert [hint for hint in found if not IMPERATIVE.fullmatch(hint)] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_refusals_name_key_value_rule_and_fix(path: Path) -> None:
    for name, call in calls(ast.parse(path.read_text())):
        given = {keyword.arg for keyword in call.keywords}
        unpacked = any(isinstance(argument, ast.Starred) for argument in call.args)
        assert unpacked or len(call.args) + len(call.keywords) == 4, f"{path.name}:{call.lineno}"
        if name == "ConfigError":
            assert given == {"got", "expected", "fix"}, f"{path.name}:{call.lineno}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_with_a_refusal_have_the_grammar(path: Path) -> None:
    """A program without a builder writes the whole message in one literal."""
    if str(path.relative_to(ROOT)) in BUILDERS:
        return
    tree = ast.parse(path.read_text())
    # Docstrings, parts of f-strings and regular expressions are not messages.
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = [text_of(node) for node in ast.walk(tree) if node not in docstrings and node not in parts]
    messages = [text for text in texts if ": got " in text and "(?:" not in text]
    assert [text for text in messages if not GRAMMAR.fullmatch(text)] == []
