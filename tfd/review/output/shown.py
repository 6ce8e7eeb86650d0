"""Collects what a review comment leaves out, because each gap is a warning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tfd.review.output.redaction import Redactor

LONGEST = 1000
"""Characters of a value that are shown above the folds."""
# 12 digits identify a digest; the rendered objects show all of them.
_LONG_DIGEST = re.compile("(?<=@sha256:[0-9a-f]{12})[0-9a-f]+(?![0-9a-f])")


@dataclass
class Shown:
    """What a review comment has left out so far."""

    _cuts: dict[str, None] = field(default_factory=dict)

    def cut(self, what: str) -> None:
        """Note that something is not shown, or not in full."""
        self._cuts[what] = None

    def value(
        self, value: object, redactor: Redactor, what: str, *, longest: int = LONGEST, words: bool = False
    ) -> str:
        """Return a value as inline code. Of a value of more than `longest` characters, the middle is cut out."""
        text = _LONG_DIGEST.sub("...", redactor.text(value))
        if len(text) > longest:
            self.cut(f"the middle of {what} of {len(text):,} characters")
            text = f"{text[: longest // 2]} [...] {text[-longest // 2 + 10 :]}"
        return redactor.inline(text, longest, words=words)

    def __iter__(self) -> Iterator[str]:
        return iter(self._cuts)

    def __len__(self) -> int:
        return len(self._cuts)


def joined(parts: list[str], word: str = "and") -> str:
    """Return words as a list: `a, b and c`."""
    return f" {word} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def count(number: int, noun: str) -> str:
    """Return a number and its noun: `1 run`, `2 runs`, `2 workbenches`."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}{plural if number != 1 else ''}"


def counted(nouns: Iterable[str], before: str = "") -> str:
    """Return how many there are of each noun: `2 runs and 1 workbench`, with words `before` each noun."""
    return joined([count(number, f"{before}{noun}") for noun, number in Counter(nouns).items()])
