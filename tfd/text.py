"""Words and numbers for people."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


def plain(text: str) -> str:
    """Return `text` without control characters: a log is no place to drive the user's terminal from."""
    return _CONTROL.sub("", text)


def duration(seconds: float | None) -> str:
    """Write seconds for people: ``41 s``, ``3:07``, ``2:05:09``."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number to `digits` significant digits, or ``-``."""
    return "-" if value is None else f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
