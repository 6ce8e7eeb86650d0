"""The page of messages: the rules between keys of a job file, and the messages with which the trainer ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from chart_docs import cell

from tfd.jobfile.schema import schema
from trainer.runtime import errors

ROOT = Path(__file__).resolve().parent.parent
REFUSAL = re.compile(r"(?P<key>\S.*?): got .+?; expected (?P<expected>.+?)\. (?P<fix>[A-Z].+\.)", re.S)
PART = "…"
"""What stands for a part of a message that the program fills in."""
WORD = re.compile(r"[A-Za-z]{3}")
"""What a message must have besides the parts that the program fills in."""
REFUSED = ("expected", "fix")


def rules() -> str:
    """Return the rules between keys, from the corpus of refused job files. The table of keys has all other limits."""
    chart = ROOT / "charts" / "tf-distributed"
    hints = set(_hints(schema(chart)))
    found = set()
    for table in sorted((ROOT / "tests" / "job_files" / "rejected").glob("*.yaml")):
        for case in yaml.safe_load(table.read_text(encoding="utf-8")):
            message = REFUSAL.fullmatch(case["error"].partition(": ")[2])
            if message and not any(hint in message["fix"] for hint in hints):
                found.add((re.sub(r"\d+\]", "N]", message["key"]), message["expected"], message["fix"]))
    return _table(("key", *REFUSED), sorted(found, key=lambda row: (row[0].lower(), *row)))


def _hints(node: object) -> Iterator[str]:
    """Yield the fixes of the schema."""
    for name, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if name == "x-hint":
            yield child
        yield from _hints(child)


def refusals() -> str:
    """Return key, rule and fix of each refusal of the trainer."""
    rows = set()
    for call in _calls():
        given = {each.arg: _text(each.value) for each in call.keywords if each.arg}
        if call.args and given.keys() >= {"got", *REFUSED}:
            rows.add((_text(call.args[0]), given["expected"], given["fix"]))
    # A key that is a variable comes with words that its callers choose.
    return _table(("key", *REFUSED), sorted(row for row in rows if WORD.search(row[0]) and set(row[1:]) != {PART}))


def endings() -> str:
    """Return the messages of the trainer that refuse no input, with the exit code of each."""
    classes = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    codes = {name: each.default_code for name, each in classes.items() if issubclass(each, errors.TrainerExit)}
    rows = {
        (codes[_name(call)], _text(call.args[0]))
        for call in _calls()
        if _name(call) in codes and call.args and not call.keywords
    }
    # A message that only joins other messages has no words to search for.
    words = sorted(row for row in rows if WORD.search(row[1]))
    return _table(("exit code", "message"), [(str(code), message) for code, message in words])


def _calls() -> Iterator[ast.Call]:
    for path in sorted((ROOT / "trainer").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _text(node: ast.AST) -> str:
    """Return the words of a message in the code."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) for each in node.values)
    return PART


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head)]
    shown = [[f"`{cell(' '.join(each.split()))}`" for each in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [*lines, *shown])
