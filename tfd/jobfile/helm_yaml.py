"""The only YAML loader of the project: reads a document as Helm does, and records the place of each key.

Helm reads YAML through sigs.k8s.io/yaml, that is, by the rules of Go's yaml.v2. `1e-3` is a number. `12:30` and
`2001-01-01` are strings. `0o17` and `017` are 15. `y` is true. Every number is a 64-bit float. PyYAML reads
YAML 1.1 differently in each of these cases. So only its parser is used here, and scalars are resolved by Go's rules
(`go.yaml.in/yaml/v2`, resolve.go). `tests/unit/tfd/test_helm_yaml.py` compares the result with that of Helm.

Helm silently takes the last of two equal keys, and the first of several documents. Here both are errors. With
`strict=False` such a file is read as Helm and Argo CD read it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tfd.text import dotted, refusal

Key = tuple[str | int, ...]
"""The mapping keys and list indexes from the root to a value, for example ``("env", 0, "name")``."""

# A job file is a page of text. What is larger is a mistake or an attack.
MAX_BYTES = 64 * 1024
MAX_NODES = 20_000
# The composer of PyYAML is recursive and crashes Python at some thousand levels.
MAX_DEPTH = 50

_TOO_DEEP = (f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels", "Write the file with fewer levels.")
_PLAIN = "!plain"
_STRING = "tag:yaml.org,2002:str"
_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null"))
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
_INFINITE = frozenset(
    [".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"]
)
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


Refused = tuple[str, str, str]
"""What was found, what is expected, and the fix."""


class YamlError(Exception):
    """A document that is refused. `line` and `column` count from 1."""

    def __init__(self, refused: Refused, line: int = 1, column: int = 1, key: Key = ()) -> None:
        super().__init__(refusal(dotted(key) or "file", *refused))
        self.line, self.column = line, column


@dataclass
class Document:
    """One YAML document: its `value`, and the line and column (from 1) of every key in it."""

    value: Any
    positions: dict[Key, tuple[int, int]] = field(default_factory=dict)
    alias: Key | None = None
    """The first key whose value is an alias (``*name``)."""

    def position(self, key: Key) -> tuple[int, int]:
        """Return line and column of `key`, or of its nearest parent in the file."""
        while key and key not in self.positions:
            key = key[:-1]
        return self.positions.get(key, (1, 1))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's parser; plain scalars keep the tag PLAIN and are resolved by Go's rules."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        if kind is yaml.ScalarNode and isinstance(implicit, tuple) and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))


def load(text: str, *, strict: bool = True) -> Document:
    """Read one YAML document.

    Args:
        text: the file.
        strict: refuse what Helm ignores: a duplicate key, a second document.

    Raises:
        YamlError: the text is not valid YAML, is too large, contains an infinite number, or is refused by `strict`.

    """
    if len(text.encode()) > MAX_BYTES:
        fix = "Move code into an image or to code.git."
        raise YamlError((f"{len(text.encode()):,} bytes", f"at most {MAX_BYTES:,} bytes", fix))
    _refuse_depth(text)
    node = next(_compose(text), None) if not strict else _only(_compose(text))
    document = Document(value=None)
    document.value = _Builder(document, strict=strict).build(node, ()) if node is not None else None
    return document


def load_all(text: str) -> list[Any]:
    """Read the documents that `helm template` prints; empty ones are left out."""
    values = [_Builder(Document(None), limit=math.inf).build(node, ()) for node in _compose(text)]
    return [value for value in values if value is not None]


def _refuse_depth(text: str) -> None:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise YamlError(_TOO_DEEP, *_where(event.start_mark))
    except yaml.YAMLError:
        return  # composing the document reports the error with its place


def _where(mark: Any) -> tuple[int, int]:  # noqa: ANN401 - one of two classes of PyYAML, or None
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _compose(text: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    except yaml.MarkedYAMLError as error:
        where = _where(error.problem_mark or error.context_mark)
        raise YamlError(_invalid(error.problem or error.context), *where) from None
    except yaml.YAMLError as error:
        raise YamlError(_invalid(error)) from None
    finally:
        loader.dispose()


def _invalid(problem: object) -> Refused:
    return f"invalid YAML ({problem})", "a YAML document", "Correct the syntax at this place."


def _only(nodes: Iterator[yaml.Node]) -> yaml.Node | None:
    node = next(nodes, None)
    if second := next(nodes, None):
        where = _where(second.start_mark)
        raise YamlError(("a second document", "one document", "Move the second run to its own file."), *where)
    return node


class _Builder:
    """Turns the parser's nodes into values. Counts nodes, so that nested aliases cannot fill the memory."""

    def __init__(self, document: Document, limit: float = MAX_NODES, *, strict: bool = True) -> None:
        self._document, self._left, self._strict = document, limit, strict
        self._seen: set[int] = set()

    def build(self, node: yaml.Node, key: Key) -> Any:  # noqa: ANN401 - YAML is anything
        self._left -= 1
        if self._left < 0:
            got = f"more than {MAX_NODES:,} values"
            raise self._error(node, (got, f"at most {MAX_NODES:,} values", "Remove nested aliases."), key)
        if len(key) > MAX_DEPTH:
            raise self._error(node, _TOO_DEEP, key)  # an alias of a block that contains it
        if id(node) in self._seen and self._document.alias is None:
            self._document.alias = key
        self._seen.add(id(node))
        self._document.positions.setdefault(key, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*key, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        written: set[str] = set()
        for name_node, value_node in node.value:
            if isinstance(name_node, yaml.ScalarNode) and (name_node.tag, name_node.value) == (_PLAIN, "<<"):
                # In Go it overrides the keys above it, and the keys below override it.
                value = self.build(value_node, key)
                for source in reversed(value if isinstance(value, list) else [value]):
                    found.update(source if isinstance(source, dict) else {})
                continue
            name = self._name(name_node, key)
            if name in written and self._strict:
                line = self._document.positions[(*key, name)][0]
                refused = (f"a duplicate of the key on line {line}", "each key once", "Keep one of the two.")
                raise self._error(name_node, refused, (*key, name))
            written.add(name)
            self._document.positions[(*key, name)] = (
                name_node.start_mark.line + 1,
                name_node.start_mark.column + 1,
            )
            found[name] = self.build(value_node, (*key, name))
        return found

    def _name(self, node: yaml.Node, key: Key) -> str:
        value = self._scalar(node, key) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            fix = "Write the key as a plain word."
            raise self._error(node, ("a key that is not a string", "a string as key", fix), key)
        return value if isinstance(value, str) else json.dumps(value)

    def _scalar(self, node: yaml.Node, key: Key) -> str | int | float | bool | None:
        text: str = node.value
        if node.tag == _STRING:
            return text
        if node.tag not in (_PLAIN, *_TAGS):
            raise self._error(node, (f"the tag {node.tag}", "a value without a tag", "Remove the tag."), key)
        if text in _INFINITE:
            raise self._error(node, (text, "a finite number", "Set a finite number."), key)
        return resolve(text)

    @staticmethod
    def _error(node: yaml.Node, refused: Refused, key: Key) -> YamlError:
        return YamlError(refused, node.start_mark.line + 1, node.start_mark.column + 1, key)


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain (unquoted) scalar as Go's yaml.v2 does; an integral number comes as int."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] not in "+-.0123456789":
        return text
    # yaml.v2 ignores underscores, except in a number that begins with a point.
    digits = text if text[0] == "." else text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        number = float(int(_python_integer(digits), 0))
    elif _FLOAT.fullmatch(digits):
        number = float(digits)
    else:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def _python_integer(digits: str) -> str:
    """Return an integer of Go in the form of Python's int(x, 0): Go reads 017 as octal."""
    sign, body = (digits[0], digits[1:]) if digits[0] in "+-" else ("", digits)
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        body = "0o" + body[1:]
    return sign + body
