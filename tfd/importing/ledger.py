"""The fields of a manifest, and the ledger of what became of each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tfd.jobfile.helm_yaml import Key
from tfd.text import dotted, refusal, shown

Fate = Literal["same", "changed", "dropped"]
FATES: tuple[Fate, ...] = ("same", "changed", "dropped")
# YAML has numbers of 64 bits, which are exact up to here.
_EXACT = 2**53
UNKNOWN = "no program reads this field, or tfd does not support it"


class RefusedError(Exception):
    """The manifest cannot be imported. `key` is the field to blame."""

    def __init__(self, key: Key, got: str, expected: str, fix: str) -> None:
        super().__init__(refusal(dotted(key) or "file", got, expected, fix))
        self.key = key


@dataclass(frozen=True)
class Line:
    """What became of one field and of everything below it; a line without a field is about the run as a whole."""

    path: Key
    fate: Fate
    key: str = ""
    """The key of the job file; empty where no key holds the value."""
    why: str = ""
    noise: bool = False
    """Whether the operator or Kubernetes wrote the field, so that only the JSON report lists it."""


@dataclass
class Ledger:
    """All lines, in the order in which they were written."""

    lines: list[Line] = field(default_factory=list)
    _settled: set[Key] = field(default_factory=set)
    _above: set[Key] = field(default_factory=set)

    def write(self, line: Line, value: Any = None) -> None:  # noqa: ANN401 - a manifest is anything
        """Add a line for each part of a field that has none yet: for the whole field, unless parts of it have lines."""
        if not line.path:
            self.lines.append(line)
        elif not self.is_settled(line.path):
            for path, _ in list(self.rest(value, line.path)):
                self._settled.add(path)
                self._above.update(path[:length] for length in range(len(path)))
                self.lines.append(replace(line, path=path))

    def note(self, key: str, why: str) -> None:
        """Add a line about the run as a whole: the manifest has no such field, and the run has a value for it."""
        self.write(Line((), "changed", key, why))

    def is_settled(self, path: Key) -> bool:
        """Return whether a field, or one around it, has a line."""
        return any(path[:length] in self._settled for length in range(1, len(path) + 1))

    def rest(self, value: Any, path: Key = ()) -> Iterator[tuple[Key, Any]]:  # noqa: ANN401 - a manifest is anything
        """Yield the fields without a line: the largest blocks in which no field has one."""
        if path in self._settled:
            return
        if path and path not in self._above:
            yield path, value
        elif isinstance(value, dict | list):
            for name, child in value.items() if isinstance(value, dict) else enumerate(value):
                yield from self.rest(child, (*path, name))


@dataclass(frozen=True)
class Field:
    """A value of the manifest, its place, and the ledger that it is settled in."""

    path: Key
    value: Any
    ledger: Ledger

    def child(self, name: str) -> Field:
        """Return the field `name` of a block; its value is None where the block has none."""
        return Field((*self.path, name), self.block().get(name), self.ledger)

    def at(self, *names: str) -> Field:
        """Return the field below the blocks `names`."""
        found = self
        for name in names:
            found = found.child(name)
        return found

    def block(self) -> dict[str, Any]:
        """Return the value as a mapping; an absent one is empty.

        Raises:
            RefusedError: it is something else, which Kubernetes refuses too.

        """
        return self._of(dict, "a mapping") or {}

    def children(self) -> Iterator[Field]:
        """Yield the fields of a block."""
        for name in self.block():
            yield self.child(name)

    def items(self) -> list[Field]:
        """Return the items of a list; an absent one is empty. Raises what `block` raises."""
        found = self._of(list, "a list") or []
        return [Field((*self.path, index), value, self.ledger) for index, value in enumerate(found)]

    def text(self) -> str:
        """Return the value as a string; an absent one is empty. Raises what `block` raises."""
        return self._of(str, "a string") or ""

    def words(self) -> list[str]:
        """Return a list of strings. Raises what `word` and `block` raise."""
        return [each.word() for each in self.items()]

    def word(self) -> str:
        """Return a string; a number becomes one, as an author meant it.

        Raises:
            RefusedError: it is something else, or YAML has changed it: a large number is rounded, and `no` is false.

        """
        value = self.value
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _EXACT:
            raise self.refused("a string", "Put the value in quotation marks: Kubernetes refuses it too.")
        return shown(value)

    def whole(self, default: int) -> int:
        """Return the value as a whole number of at least 0. Raises what `block` raises."""
        value = default if self.value is None else self.value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.refused("a whole number of at least 0", "Correct the value.")
        return value

    def _of(self, kind: type, words: str) -> Any:  # noqa: ANN401 - a value of `kind`
        if self.value is None or isinstance(self.value, kind):
            return self.value
        raise self.refused(words, "Correct the manifest: Kubernetes refuses this value too.")

    def refused(self, expected: str, fix: str, got: str = "") -> RefusedError:
        """Return the refusal of the whole manifest because of this field."""
        return RefusedError(self.path, got or shown(self.value), expected, fix)

    def same(self, key: str, why: str = "") -> None:
        """Settle the field: `key` of the job file has the same meaning."""
        self._settle("same", key, why)

    def changed(self, key: str, why: str) -> None:
        """Settle the field: `key` of the job file takes its place, with the difference `why`."""
        self._settle("changed", key, why)

    def dropped(self, why: str) -> None:
        """Settle the field: the job file has nothing in its place, because of `why`."""
        self._settle("dropped", "", why)

    def noise(self, why: str) -> None:
        """Settle a field that the operator or Kubernetes wrote."""
        if self.value is not None:
            self.ledger.write(Line(self.path, "dropped", "", why, noise=True), self.value)

    def _settle(self, fate: Fate, key: str, why: str) -> None:
        if self.value is not None:
            self.ledger.write(Line(self.path, fate, key, why), self.value)
