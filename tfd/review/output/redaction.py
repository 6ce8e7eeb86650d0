"""Hides secrets in everything that a review prints, because a comment outlives the commit that it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tfd.review.analysis.findings import Message
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.secrets import secret_words
from tfd.review.output import markdown

HIDDEN = "[hidden]"
_SHORTEST = 4  # A shorter text is part of too many words, and hiding it would make the comment unreadable.
_CUT = "..."


@dataclass(frozen=True)
class Redactor:
    """Hides the secrets of a pull request, and whatever else has the form of a secret."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, review: PullRequestReview) -> Redactor:
        """Return the redactor for all job files of a review."""
        return cls(tuple(sorted({secret for run in review.runs for secret in run.secrets})))

    def text(self, value: object) -> str:
        """Return a value of a job file as text on one line."""
        plain = isinstance(value, str) and value != ""
        return self.hide(str(value) if plain else json.dumps(value, ensure_ascii=False))

    def code(self, value: object) -> str:
        """Return a value of a job file as inline code in Markdown."""
        return markdown.code(self.text(value))

    def words(self, value: object) -> str:
        """Return words of a person, of any language, as inline code in Markdown."""
        return markdown.code(self.text(value), ascii_only=False)

    @staticmethod
    def inline(text: str, longest: int, *, words: bool = False) -> str:
        """Return a text that has no secret any more as inline code; `words` keeps letters of any language."""
        return markdown.code(text, longest, ascii_only=not words)

    def message(self, message: Message) -> str:
        """Return a message in Markdown: sentences as text, values as inline code."""
        plain, hidden = str(message), self.hide(str(message))
        if hidden != plain:  # A secret may be in two parts, so the parts are lost with it.
            return markdown.prose(hidden)
        parts = [
            markdown.prose(part) if isinstance(part, str) else markdown.code(part.text)
            for part in message.parts
            if isinstance(part, str) or part.text
        ]
        return "".join(parts)

    def block(self, text: str, language: str = "") -> str:
        """Return lines of a job file, or of its rendering, as a code block in Markdown."""
        return markdown.block(self.hide(text), language)

    def json(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return `value` with the secrets in its texts and numbers hidden."""
        if isinstance(value, dict):
            return {self.hide(str(key)): self.json(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(child) for child in value]
        if isinstance(value, str):
            return self.hide(value)
        return HIDDEN if len(str(value)) >= _SHORTEST and str(value) in self.secrets else value

    def hide(self, text: str) -> str:
        """Return `text` without its secrets."""
        for piece in self._pieces:
            text = text.replace(piece, HIDDEN)
        for word in sorted(secret_words(text), key=len, reverse=True):
            text = text.replace(word, HIDDEN)
        return self._without_beginnings(text) if _CUT in text else text

    def _without_beginnings(self, text: str) -> str:
        """Return `text` without the beginning of a secret in a value that a message cuts."""
        for piece in self._pieces:
            for end in range(len(piece) - 1, _SHORTEST - 1, -1):
                text = text.replace(f"{piece[:end]}{_CUT}", f"{HIDDEN}{_CUT}")
        return text

    @cached_property
    def _pieces(self) -> list[str]:
        """The secrets and their lines, as they are and as JSON, the longest first."""
        return sorted({each for secret in self.secrets for each in _forms(secret)}, key=lambda each: (-len(each), each))


def _forms(secret: str) -> Iterator[str]:
    for text in (secret, *(line.strip() for line in secret.splitlines())):
        for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            if len(form) >= _SHORTEST:
                yield form
