"""The one YAML loader of the project: reads a document as Helm reads it, and knows where each key stands.

Helm reads YAML through sigs.k8s.io/yaml, that is, by the rules of Go's yaml.v2: `1e-3` is a number, `12:30` and
`2001-01-01` are strings, `0o17` and `017` are 15, `y` is true, and every number is a 64-bit float. PyYAML reads
YAML 1.1 differently in each of these cases, so only its parser is used here and scalars are resolved by Go's rules
(`go.yaml.in/yaml/v2`, resolve.go). `tests/unit/tfd/test_helmyaml.py` holds this against helm itself.

Helm takes the last of two equal keys, and the first of several documents, without a word; here both are errors, unless
one asks for what Helm, or Argo CD, would make of such a file (`strict=False`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Key = tuple[str | int, ...]
"""Where a value stands: the mapping keys and list indexes from the root, e.g. ``("env", 0, "name")``."""

# A job file is a page of text. What is larger is a mistake or an attack.
MAX_BYTES = 64 * 1024
MAX_NODES = 20_000
# The parser's composer calls itself for each level and crashes Python some thousand levels deep.
MAX_DEPTH = 50

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep: a job file needs a handful of levels; write it flatter"
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


class YamlError(Exception):
    """A document that can't be used. `line` and `column` count from 1; `key` is empty for a syntax error."""

    def __init__(self, message: str, line: int = 1, column: int = 1, key: Key = ()) -> None:
        super().__init__(message)
        self.line, self.column, self.key = line, column, key


@dataclass
class Document:
    """One YAML document: its `value`, and the line and column (from 1) of every key in it."""

    value: Any
    positions: dict[Key, tuple[int, int]] = field(default_factory=dict)
    alias: Key | None = None
    """The first key whose value stands elsewhere (``*name``)."""

    def position(self, key: Key) -> tuple[int, int]:
        """Return the place of `key`, or of its nearest parent that is written in the file."""
        while key and key not in self.positions:
            key = key[:-1]
        return self.positions.get(key, (1, 1))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's parser; a plain scalar keeps the tag PLAIN, to be resolved by Go's rules."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        if kind is yaml.ScalarNode and isinstance(implicit, tuple) and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))


def load(text: str, *, strict: bool = True) -> Document:
    """Read one YAML document.

    Args:
        text: the file.
        strict: refuse what Helm passes over: a key that is there twice, a second document.

    Raises:
        YamlError: the text is no YAML, is more than is read, has an infinite number, or is refused by `strict`.

    """
    if len(text.encode()) > MAX_BYTES:
        raise YamlError(f"got {len(text.encode()):,} bytes, but at most {MAX_BYTES:,} are read")
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
        return  # told with its place when the document is composed


def _where(mark: Any) -> tuple[int, int]:  # noqa: ANN401 - one of two classes of PyYAML, or None
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _compose(text: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    except yaml.MarkedYAMLError as error:
        where = _where(error.problem_mark or error.context_mark)
        raise YamlError(f"not YAML: {error.problem or error.context}", *where) from None
    except yaml.YAMLError as error:
        raise YamlError(f"not YAML: {error}") from None
    finally:
        loader.dispose()


def _only(nodes: Iterator[yaml.Node]) -> yaml.Node | None:
    node = next(nodes, None)
    if second := next(nodes, None):
        where = _where(second.start_mark)
        raise YamlError("got a second document, but a file is one run; move it to a file of its own", *where)
    return node


class _Builder:
    """Turns the parser's nodes into values. Counts nodes, so that nested aliases can't fill the memory."""

    def __init__(self, document: Document, limit: float = MAX_NODES, *, strict: bool = True) -> None:
        self._document, self._left, self._strict = document, limit, strict
        self._seen: set[int] = set()

    def build(self, node: yaml.Node, key: Key) -> Any:  # noqa: ANN401 - YAML is anything
        self._left -= 1
        if self._left < 0:
            raise self._error(node, f"expands to more than {MAX_NODES:,} values: do not nest aliases", key)
        if len(key) > MAX_DEPTH:
            raise self._error(node, _TOO_DEEP, key)  # an alias of what it is in
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
                # Go lets it replace what stands above it, and be replaced by what stands below.
                value = self.build(value_node, key)
                for source in reversed(value if isinstance(value, list) else [value]):
                    found.update(source if isinstance(source, dict) else {})
                continue
            name = self._name(name_node, key)
            if name in written and self._strict:
                line = self._document.positions[(*key, name)][0]
                raise self._error(name_node, f"duplicate key, first on line {line}: keep one", (*key, name))
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
            raise self._error(node, "a key must be a plain word", key)
        return value if isinstance(value, str) else json.dumps(value)

    def _scalar(self, node: yaml.Node, key: Key) -> str | int | float | bool | None:
        text: str = node.value
        if node.tag == _STRING:
            return text
        if node.tag not in (_PLAIN, *_TAGS):
            raise self._error(node, f"got the tag {node.tag}: write the value without it", key)
        if text in _INFINITE:
            raise self._error(node, f"got {text}, but a number must be finite", key)
        return resolve(text)

    @staticmethod
    def _error(node: yaml.Node, message: str, key: Key) -> YamlError:
        return YamlError(message, node.start_mark.line + 1, node.start_mark.column + 1, key)


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain (unquoted) scalar as Go's yaml.v2 does; an integral number comes as int."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] not in "+-.0123456789":
        return text
    # yaml.v2 drops underscores, but not where a point comes first.
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
    """Spell Go's integer so that Python's int(x, 0) reads it: Go takes 017 as octal."""
    sign, body = (digits[0], digits[1:]) if digits[0] in "+-" else ("", digits)
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        body = "0o" + body[1:]
    return sign + body
