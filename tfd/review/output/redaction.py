"""Hides secrets in everything that a review prints, because a comment outlives the commit that it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tfd.review.analysis.findings import Message
from tfd.review.output import markdown

_HIDDEN = "[hidden]"
_SHORTEST = 4  # A shorter text is part of too many words, and hiding it would make the comment unreadable.


@dataclass(frozen=True)
class Redactor:
    """Hides the secrets of a pull request."""

    secrets: tuple[str, ...]

    def text(self, value: object) -> str:
        """Return a value of a job file as text on one line."""
        plain = isinstance(value, str) and value != ""
        return self._hide(str(value) if plain else json.dumps(value, ensure_ascii=False))

    def code(self, value: object) -> str:
        """Return a value of a job file as inline code in Markdown."""
        return markdown.code(self.text(value))

    def words(self, value: object) -> str:
        """Return words of a person, of any language, as inline code in Markdown."""
        return markdown.code(self.text(value), ascii_only=False)

    def message(self, message: Message) -> str:
        """Return a message in Markdown: sentences as text, values as inline code."""
        plain, hidden = str(message), self._hide(str(message))
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
        return markdown.block(self._hide(text), language)

    def json(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return `value` with the secrets in its strings hidden."""
        if isinstance(value, str):
            return self._hide(value)
        if isinstance(value, dict):
            return {self._hide(str(key)): self.json(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(child) for child in value]
        return value

    def _hide(self, text: str) -> str:
        for secret in self.secrets:
            lines = [line.strip() for line in secret.splitlines()]
            pieces = (secret, json.dumps(secret)[1:-1], *lines)
            for piece in (each for each in pieces if len(each) >= _SHORTEST):
                text = text.replace(piece, _HIDDEN)
        return text
