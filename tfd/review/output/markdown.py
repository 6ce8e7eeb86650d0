"""Markdown in which a user's text is only ever text: no link, mention, HTML, table cell or end of a code block."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LONGEST_CODE = 120
_PLAIN = re.compile(r"[^`|\\]+")


def visible(text: str, *, lines: bool = False) -> str:
    """Spell out what a reader would not see or be misled by: control characters, direction marks, odd spaces.

    With `lines`, line feeds and tabs stay as they are.
    """
    kept = "\n\t" if lines else ""
    return "".join(
        char
        if char in kept or char == " " or unicodedata.category(char)[0] not in "CZ"
        else char.encode("unicode_escape", errors="backslashreplace").decode()
        for char in text
    )


def code(text: object, longest: int = _LONGEST_CODE) -> str:
    """Return a user's text as inline code; it may stand in a table."""
    # Nothing gets shorter by being made visible.
    shown = visible(str(text)[: longest + 1])
    if len(shown) > longest:
        shown = f"{shown[: longest - 1]}…"
    if _PLAIN.fullmatch(shown) and shown == shown.strip():
        return f"`{shown}`"
    # In a code span neither a backtick nor, in a table, a pipe could be written.
    entities = "".join(char if char.isalnum() or char in " …" else f"&#{ord(char)};" for char in shown)
    return f"<code>{entities}</code>"


def block(text: str, language: str = "") -> str:
    """Return a user's text as a code block that nothing in it can end."""
    shown = visible(text, lines=True)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def folded(title: str, body: str) -> str:
    """Return a part that is closed until one opens it; the title is Markdown without user's text."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
