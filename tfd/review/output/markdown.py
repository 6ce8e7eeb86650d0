"""Writes untrusted text as Markdown that cannot become a link, mention, HTML, table cell or end of a code block."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tfd.text import visible

_LONGEST_CODE = 120
_LONGEST_PROSE = 400
_PLAIN = re.compile(r"[^`|\\]+")
# A word, number or punctuation mark that neither Markdown nor GitHub interprets; 7 hex digits could be a commit.
_WORD = re.compile(
    r"\(?(?![a-f]{7,}\b|(?i:www)\b)(?:(?:GiB|[A-Z]?[a-z]+|[A-Z]+|[A-Z]+s)(?:['-][A-Za-z]+)*|[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9])?)?[,.;:?)]*"
)
# A part in braces is one token, as in `{claim: NAME}`.
_TOKEN = re.compile(r"[^ {]*\{[^{}]*\}[^ ]*|[^ ]+")
_MARKS = re.compile(r"(\(?)(.*?)([,.;:?)]*)", re.DOTALL)


def code(text: object, longest: int = _LONGEST_CODE, *, ascii_only: bool = True) -> str:
    """Return untrusted text as inline code, which is also valid in a table.

    Args:
        text: any text.
        longest: the number of characters that are shown of it.
        ascii_only: spell out every character outside ASCII. Unset it only for the words of a person.

    """
    # Spelling a character out only makes the text longer.
    shown = visible(str(text)[: longest + 1], ascii_only=ascii_only)
    if len(shown) > longest:
        shown = f"{shown[: longest - 1]}…"
    if _PLAIN.fullmatch(shown) and shown == shown.strip():
        return f"`{shown}`"
    # A code span cannot hold a backtick and, in a table, no pipe. GitHub links `mailto:a@b` even in <code>, but not
    # across a comment.
    entities = "".join(char if char.isalnum() or char in " …" else f"&#{ord(char)};" for char in shown)
    return f"<code>{entities.replace('&#64;', '<!-- -->&#64;')}</code>"


def prose(text: str, longest: int = _LONGEST_PROSE) -> str:
    """Return untrusted text as a sentence: plain words as they are, everything else as inline code."""
    shown = visible(text[: longest + 1], ascii_only=True)
    if len(shown) > longest:
        shown = f"{shown[: longest - 1]}…"
    return _TOKEN.sub(lambda token: _word(token[0]), shown)


def _word(word: str) -> str:
    if _WORD.fullmatch(word):
        return word
    before, inner, after = _MARKS.fullmatch(word).groups()  # type: ignore[union-attr]
    return f"{before}{code(inner)}{after}" if inner else code(word)


def block(text: str, language: str = "") -> str:
    """Return untrusted text as a code block that no text in it can end."""
    shown = visible(text, lines=True)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; the cells must be Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def folded(title: str, body: str) -> str:
    """Return a collapsed section; the title must be Markdown."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
