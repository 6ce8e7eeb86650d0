"""Reads a document without errors, aliases and tags, as nearly every job file is, in less than half of the time.

`tfd/jobfile/helm_yaml.py` reads every document, and reports what is wrong. It asks this module first. The result is the
same, or there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from tfd.jobfile.go_scalars import INFINITE, resolve

Key = tuple[str | int, ...]
"""The mapping keys and list indexes from the root to a value, for example ``("env", 0, "name")``."""

# A job file is a page of text. What is larger is a mistake or an attack.
MAX_BYTES = 64 * 1024
# The longest file that the schema accepts has about 3,000 values. Time and memory of a file grow with their number.
MAX_NODES = 5_000
# The composer of PyYAML is recursive and crashes Python at some thousand levels.
MAX_DEPTH = 50

_LONGEST_KEPT = 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Document:
    """One YAML document: its `value`, and the line and column (from 1) of every key in it."""

    value: Any
    positions: dict[Key, tuple[int, int]] = field(default_factory=dict)
    alias: Key | None = None
    """The first key whose value is an alias (``*name``)."""
    duplicates: list[tuple[Key, int, int]] = field(default_factory=list)
    """Each key that is written again, without `strict`, and the lines of the first and of the next one."""

    def position(self, key: Key) -> tuple[int, int]:
        """Return line and column of `key`, or of its nearest parent in the file."""
        while key and key not in self.positions:
            key = key[:-1]
        return self.positions.get(key, (1, 1))


class _UnusualError(Exception):
    """The document needs the other reader."""


def read(text: str) -> Document | None:
    """Return the only document in a text; None for a document that is unusual, too large or wrong."""
    found = _documents(text, _Reader)
    return found[0] if found and len(found) == 1 else None


def read_all(text: str) -> list[Any] | None:
    """Return the values of all documents in a text of any size; None if one of them is unusual or wrong."""
    found = _documents(text, _UnlimitedReader)
    return None if found is None else [each.value for each in found]


def _documents(text: str, kind: type[_Reader]) -> list[Document] | None:
    try:
        loader = _LOADER(text)
        try:
            found = []
            loader.get_event()
            while isinstance(start := loader.get_event(), yaml.DocumentStartEvent):
                first = loader.get_event()
                if start_refusal(start, first):
                    raise _UnusualError
                reader = kind(loader.get_event)
                reader.document.value = reader.value(first, ())
                found.append(reader.document)
                loader.get_event()
        finally:
            loader.dispose()
    except (_UnusualError, yaml.YAMLError, UnicodeError):
        return None
    return found


def start_refusal(start: Any, first: Any) -> tuple[str, str, str] | None:  # noqa: ANN401 - events of PyYAML
    """Return the refusal of a document's start and its first value. Helm 4 splits a file at the lines with ---."""
    if start.version or start.tags:
        return "a directive of YAML", "a document without directives", "Remove the line."
    if (
        start.explicit
        and start.start_mark.line == first.start_mark.line
        and first.start_mark.index != first.end_mark.index
    ):
        return "a value next to ---", "--- alone on its line", "Move the value to the next line."
    return None


class _Reader:
    """Turns the events of the parser into one document, within the limits of a job file."""

    most: float = MAX_NODES
    longest: float = MAX_BYTES

    def __init__(self, get: Callable[[], Any]) -> None:
        self._get = get
        self._values = self._characters = 0
        self.document = Document(None)

    def value(self, event: Any, key: Key) -> Any:  # noqa: ANN401 - YAML is anything
        """Return the value that begins with an event."""
        self._values += 1
        kind = type(event)
        if self._values > self.most or len(key) > MAX_DEPTH or kind is yaml.AliasEvent or event.anchor or event.tag:
            raise _UnusualError
        self.document.positions.setdefault(key, _place(event.start_mark))
        if kind is yaml.ScalarEvent:
            return self._scalar(event)
        if kind is yaml.MappingStartEvent:
            return self._mapping(key)
        items: list[Any] = []
        while type(event := self._get()) is not yaml.SequenceEndEvent:
            items.append(self.value(event, (*key, len(items))))
        return items

    def _mapping(self, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while type(event := self._get()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent or event.anchor or event.tag:
                raise _UnusualError
            name = self._scalar(event)
            if name is None or (name == "<<" and event.implicit[0]):
                raise _UnusualError
            name = name if isinstance(name, str) else json.dumps(name)
            if name in found:
                raise _UnusualError
            below = (*key, name)
            self.document.positions[below] = _place(event.start_mark)
            found[name] = self.value(self._get(), below)
        return found

    def _scalar(self, event: Any) -> str | int | float | bool | None:  # noqa: ANN401 - PyYAML has no types
        text: str = event.value
        self._characters += len(text)
        if self._characters > self.longest:
            raise _UnusualError
        if not event.implicit[0]:
            return text
        return _resolved(text) if len(text) <= _LONGEST_KEPT else resolve(text)


class _UnlimitedReader(_Reader):
    most = longest = float("inf")


def _place(mark: Any) -> tuple[int, int]:  # noqa: ANN401 - one of two classes of PyYAML
    return mark.line + 1, mark.column + 1


@lru_cache(maxsize=4096)
def _resolved(text: str) -> str | int | float | bool | None:
    if text in INFINITE:
        raise _UnusualError
    return resolve(text)
