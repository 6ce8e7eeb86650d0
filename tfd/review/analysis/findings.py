"""The findings of a review: sentences, and the untrusted values in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

_JSON = re.compile(r'["\[{0-9-].*|true|false|null', re.DOTALL)
_GRAMMAR = re.compile(r"(?P<key>\S.*?): got (?P<value>.+?); expected (?P<rest>.+\. [A-Z].+\.)", re.DOTALL)


class Level(Enum):
    """The severity of a finding."""

    REFUSED = "refused"
    UNKNOWN = "unknown"
    WARNING = "warning"
    WAIVED = "waived"


@dataclass(frozen=True)
class Value:
    """A value that the author of a pull request controls."""

    text: str


@dataclass(frozen=True)
class Message:
    """A sentence, in parts: text of this program, and values."""

    parts: tuple[str | Value, ...]

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)


def sentence(template: str, *values: object) -> Message:
    """Return a message from a template that has `{}` for each value."""
    texts = template.split("{}")
    parts: list[str | Value] = [texts[0]]
    for text, value in zip(texts[1:], values, strict=True):
        parts += [Value(str(value)), text]
    return Message(tuple(parts))


def parsed(message: str) -> Message:
    """Return a message of `tfd check`, with its key and its value as values.

    Key and value may hold any text, so the split may be wrong. That is safe, because the text parts of a message are
    rendered as plain words only.
    """
    if found := _GRAMMAR.fullmatch(message):
        got, rest = found["value"], f"; expected {found['rest']}"
        value = (": got ", Value(got), rest) if _JSON.fullmatch(got) else (f": got {got}{rest}",)
        if found["key"] == "file":  # The place of the finding names the file already.
            return Message((value[0].removeprefix(": "), *value[1:]))
        return Message((Value(found["key"]), *value))
    return Message((message,))


@dataclass(frozen=True)
class Suggestion:
    """A line of a file and its replacement."""

    line: int
    text: str


@dataclass(frozen=True)
class Finding:
    """A fact that matters for the decision to merge."""

    level: Level
    path: str
    message: Message
    line: int = 1
    column: int = 1
    rule: str = ""
    """The rule of review.yaml that the change breaks, if it breaks one."""
    fix: str = ""
    """A shell command that fixes it."""
    suggestion: Suggestion | None = None
    waiver: tuple[str, ...] = field(default=())
    """Who may waive the rule; for a waived rule, who did."""
