"""The page of messages: the rules between keys of a job file, and the messages of `tfd` and of the trainer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path

import yaml
from chart_docs import cell

from tfd.jobfile.schema import schema
from trainer.runtime import errors

ROOT = Path(__file__).resolve().parent.parent
REFUSAL = re.compile(r"(?P<key>\S.*?): got .+?; expected (?P<expected>.+?)\. (?P<fix>[A-Z].+\.)", re.S)
PART = "…"
"""What stands for a part of a message that the program fills in."""
WORD = re.compile(r"[A-Za-z]{3,}")
"""What a message must have besides the parts that the program fills in."""
REFUSED = ("expected", "fix")
REFUSING = ("refusal", "RefusedError")
"""What `tfd` calls with key, value, rule and fix."""
PARTS = 4
FINDING, SENTENCE = "sentence", 3
"""What the review calls with a sentence, and the least number of words of one."""
Words = dict[str, list[tuple[int, ast.expr | None]]]
"""The lines at which a name gets a value, and the values."""


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
    for call, words in _calls("trainer"):
        given = {each.arg: _text(each.value, words) for each in call.keywords if each.arg}
        if call.args and given.keys() >= {"got", *REFUSED}:
            rows.add((_text(call.args[0], words), given["expected"], given["fix"]))
    # A key that is a variable comes with words that its callers choose.
    return _table(("key", *REFUSED), sorted(row for row in rows if WORD.search(row[0]) and set(row[1:]) != {PART}))


def tool_refusals() -> str:
    """Return key, rule and fix of each refusal of `tfd`. Some keys are names of files, which the program fills in."""
    rows = {
        tuple(_text(each, words) for each in (call.args[0], *call.args[2:]))
        for call, words in _calls("tfd")
        if _name(call) in REFUSING and len(call.args) == PARTS and not _is_starred(call)
    }
    return _table(
        ("key", *REFUSED), sorted(row for row in rows if WORD.search(row[1]) and WORD.search(row[0] + row[2]))
    )


def findings() -> str:
    """Return the sentences of the review about a pull request."""
    found = {_text(call.args[0], words).replace("{}", PART) for call, words in _calls("tfd") if _name(call) == FINDING}
    return _table(("message",), sorted((text,) for text in found if len(WORD.findall(text)) >= SENTENCE))


def endings() -> str:
    """Return the messages of the trainer that refuse no input, with the exit code of each."""
    classes = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    codes = {name: each.default_code for name, each in classes.items() if issubclass(each, errors.TrainerExit)}
    rows = {
        (codes[_name(call)], _text(call.args[0], words))
        for call, words in _calls("trainer")
        if _name(call) in codes and call.args and not call.keywords
    }
    # A message that only joins other messages has no words to search for.
    words = sorted(row for row in rows if WORD.search(row[1]))
    return _table(("exit code", "message"), [(str(code), message) for code, message in words])


def _calls(package: str) -> Iterator[tuple[ast.Call, Words]]:
    """Yield each call in a package, and the variables of its function and module that have one value."""
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        common = _values(tree.body)
        for place in tree.body:
            for function in _functions(place):
                words = common | _values(ast.walk(function))
                yield from ((node, words) for node in _own(function) if isinstance(node, ast.Call))


def _functions(place: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement of a module, and the functions in it."""
    yield place
    yield from (node for node in ast.walk(place) if isinstance(node, ast.FunctionDef) and node is not place)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef):
            yield node
            yield from _own(node)


def _values(nodes: Iterable[ast.AST]) -> Words:
    """Return the names that these nodes assign, with the line and the value of each assignment."""
    found: Words = {}
    for node in nodes:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append((target.lineno, getattr(node, "value", None)))
    return found


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _is_starred(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Starred) for each in call.args)


def _text(node: ast.AST, words: Words) -> str:
    """Return the words of a message in the code."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each, words) for each in node.values)
    if isinstance(node, ast.FormattedValue) and not node.format_spec:
        return _text(node.value, words) if isinstance(node.value, ast.Name) else PART
    if isinstance(node, ast.Name):
        # The last assignment above the message.
        above = [value for line, value in sorted(words.get(node.id, []), key=itemgetter(0)) if line < node.lineno]
        return _text(above[-1], {}) if above and above[-1] else PART
    return PART


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head)]
    shown = [[f"`{cell(' '.join(each.split()))}`" for each in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [*lines, *shown])
