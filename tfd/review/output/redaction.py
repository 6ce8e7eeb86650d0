"""Writes what users wrote, without what looks like a secret: a comment outlives the commit that it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tfd.review.output import markdown

_HIDDEN = "[hidden]"
_SHORTEST = 4  # a shorter line of a secret is a part of everything


@dataclass(frozen=True)
class Ink:
    """Knows the secrets of a pull request."""

    secrets: tuple[str, ...]

    def text(self, value: object) -> str:
        """Return a value of a job file as text, as it would stand there on one line."""
        plain = isinstance(value, str) and value != ""
        return self._hide(str(value) if plain else json.dumps(value, ensure_ascii=False))

    def code(self, value: object) -> str:
        """Return a value of a job file as Markdown code."""
        return markdown.code(self.text(value))

    def block(self, text: str, language: str = "") -> str:
        """Return lines of a job file, or of what is made of it, as a Markdown code block."""
        return markdown.block(self._hide(text), language)

    def json(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return `value` with its strings as they may be shown."""
        if isinstance(value, str):
            return self._hide(value)
        if isinstance(value, dict):
            return {self._hide(str(key)): self.json(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(child) for child in value]
        return value

    def _hide(self, text: str) -> str:
        for secret in self.secrets:
            lines = [line.strip() for line in secret.splitlines() if len(line.strip()) >= _SHORTEST]
            for piece in (secret, json.dumps(secret)[1:-1], *lines):
                text = text.replace(piece, _HIDDEN)
        return text
