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
from collections.abc import Iterator
from itertools import islice
from typing import Any

import yaml

from tfd.jobfile import simple_yaml
from tfd.jobfile.go_scalars import INFINITE, resolve
from tfd.jobfile.simple_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, Document, Key, start_refusal
from tfd.text import dotted, refusal

__all__ = ["MAX_BYTES", "Document", "Key", "YamlError", "load", "load_all", "load_documents", "refuse_size", "spans"]

_TOO_DEEP = (f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels", "Write the file with fewer levels.")
_TOO_MANY = (f"more than {MAX_NODES:,} values", f"at most {MAX_NODES:,} values", "Remove values or nested aliases.")
_TOO_LONG = (
    f"more than {MAX_BYTES:,} characters with its aliases written out",
    f"at most {MAX_BYTES:,} characters",
    "Remove aliases.",
)
_NO_MERGE = ("a key << without a mapping", "a mapping or a list of mappings", "Remove the key <<.")
# The only one that a directive may name in Go.
_VERSION = (1, 1)
_PLAIN = "!plain"
_STRING, _SEQUENCE, _MAPPING = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null"))


Refused = tuple[str, str, str]
"""What was found, what is expected, and the fix."""


class YamlError(Exception):
    """A document that is refused. `line` and `column` count from 1."""

    def __init__(self, refused: Refused, line: int = 1, column: int = 1, key: Key = ()) -> None:
        super().__init__(refusal(dotted(key) or "file", *refused))
        self.line, self.column = line, column


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's parser; plain scalars keep the tag PLAIN and are resolved by Go's rules."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if isinstance(implicit, tuple) and implicit[0] else _STRING
        return _SEQUENCE if kind is yaml.SequenceNode else _MAPPING


def load(text: str, *, strict: bool = True) -> Document:
    """Read one YAML document.

    Args:
        text: the file.
        strict: refuse what Helm ignores: a duplicate key, a second document.

    Raises:
        YamlError: the text is not valid YAML, is too large, contains an infinite number, or is refused by `strict`.

    """
    refuse_size(len(text.encode(errors="surrogatepass")))
    if simple := simple_yaml.read(text):
        return simple
    _refuse_excess(text)
    _refuse_start(text, strict=strict)
    node = next(_compose(text), None) if not strict else _only(_compose(text))
    document = Document(value=None)
    document.value = _Builder(document, strict=strict).build(node, ()) if node is not None else None
    return document


def spans(text: str) -> dict[Key, tuple[int, int]]:
    """Return where each value in mappings begins and ends, in characters. The text is a document that `load` accepts.

    An alias is where its anchor is. A block ends where the next key or the text ends.
    """
    found: dict[Key, tuple[int, int]] = {}

    def visit(node: yaml.Node, key: Key) -> None:
        found[key] = node.start_mark.index, node.end_mark.index
        for name, value in node.value if isinstance(node, yaml.MappingNode) else []:
            visit(value, (*key, str(name.value)))

    for node in _compose(text):
        visit(node, ())
    return found


def refuse_size(size: int) -> None:
    """Raise YamlError for a file of more than MAX_BYTES."""
    if size > MAX_BYTES:
        fix = "Move code into an image or to code.git."
        raise YamlError((f"{size:,} bytes", f"at most {MAX_BYTES:,} bytes", fix))


def load_documents(text: str) -> list[Document]:
    """Read all documents of a file of another program, within the limits of `load`; empty ones are left out.

    Raises:
        YamlError: the text is not valid YAML, is too large, or contains an infinite number.

    """
    refuse_size(len(text.encode(errors="surrogatepass")))
    _refuse_excess(text)
    documents = []
    for node in _compose(text):
        document = Document(value=None)
        document.value = _Builder(document, strict=False).build(node, ())
        documents += [document] if document.value is not None else []
    return documents


def load_all(text: str) -> list[Any]:
    """Read the documents that `helm template` prints; empty ones are left out."""
    values = simple_yaml.read_all(text)
    if values is None:
        values = [_Builder(Document(None), limited=False).build(node, ()) for node in _compose(text)]
    return [value for value in values if value is not None]


def _refuse_excess(text: str) -> None:
    """Refuse a document that is too deep or has too many values, before its nodes fill the memory."""
    if len(text) <= MAX_NODES and sum(map(text.count, "[{-?:")) <= MAX_DEPTH:
        return  # each level begins with one of these, and each value has a character
    depth = nodes = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            nodes += isinstance(event, yaml.NodeEvent)
            if depth > MAX_DEPTH:
                raise YamlError(_TOO_DEEP, *_where(event.start_mark))
            if nodes > 2 * MAX_NODES:  # each value has a key at most
                raise YamlError(_TOO_MANY, *_where(event.start_mark))
    except yaml.YAMLError:
        return  # composing the document reports the error with its place


def _refuse_start(text: str, *, strict: bool) -> None:
    """Refuse a start of the document that Helm does not read; unless `strict`, only one that Argo CD does not read."""
    start: Any
    try:
        _, start, first = islice(yaml.parse(text, Loader=_Loader), 3)
    except (yaml.YAMLError, ValueError):
        return  # an empty text, or composing the document reports the error with its place
    refused = start_refusal(start, first)
    if refused and (strict or start.version not in (None, _VERSION)):
        raise YamlError(refused, *_where(start.start_mark))


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
    """Turns the parser's nodes into values. Counts values and characters, so that aliases cannot fill the memory."""

    def __init__(self, document: Document, *, limited: bool = True, strict: bool = True) -> None:
        self._document, self._strict = document, strict
        self._values: float = MAX_NODES if limited else math.inf
        self._characters: float = MAX_BYTES if limited else math.inf
        self._seen: set[int] = set()

    def build(self, node: yaml.Node, key: Key) -> Any:  # noqa: ANN401 - YAML is anything
        self._values -= 1
        if self._values < 0:
            raise self._error(node, _TOO_MANY, key)
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
                    if not isinstance(source, dict):
                        raise self._error(value_node, _NO_MERGE, key)
                    found.update(source)
                continue
            name = self._name(name_node, key)
            if name in written:
                line = self._document.positions[(*key, name)][0]
                self._document.duplicates.append(((*key, name), line, name_node.start_mark.line + 1))
            if name in written and self._strict:
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
        self._characters -= len(text)
        if self._characters < 0:
            raise self._error(node, _TOO_LONG, key)
        if node.tag == _STRING:
            return text
        if node.tag not in (_PLAIN, *_TAGS):
            raise self._error(node, (f"the tag {node.tag}", "a value without a tag", "Remove the tag."), key)
        if text in INFINITE:
            raise self._error(node, (text, "a finite number", "Set a finite number."), key)
        return resolve(text)

    @staticmethod
    def _error(node: yaml.Node, refused: Refused, key: Key) -> YamlError:
        return YamlError(refused, node.start_mark.line + 1, node.start_mark.column + 1, key)
