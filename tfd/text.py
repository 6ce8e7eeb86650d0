"""Words and numbers for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST_VALUE = 80


def dotted(key: Iterable[str | int]) -> str:
    """Return the key of a YAML file as users write it: ``env[0].name``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def refusal(key: str, got: str, expected: str, fix: str) -> str:
    """Return the message that refuses an input, in the one grammar of the project.

    It reads `KEY: got VALUE; expected RULE. FIX.`

    Args:
        key: dotted key, environment variable, option or file, as users write it.
        got: the value as `shown` returns it, or a few plain words such as `nothing`.
        expected: what is allowed, as a noun phrase.
        fix: what to do, as one or two sentences in the imperative. A full stop is added where none ends it.

    """
    end = "" if fix.endswith(".") else "."
    return " ".join(f"{key}: got {got}; expected {expected}. {fix[:1].upper()}{fix[1:]}{end}".split())


def shown(value: Any) -> str:  # noqa: ANN401 - any value of a job file
    """Return a value as JSON, cut to fit on one line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def plain(text: str) -> str:
    """Return `text` without control characters, so that a log cannot control the user's terminal."""
    return _CONTROL.sub("", text)


def duration(seconds: float | None) -> str:
    """Return seconds for people: ``41 s``, ``3:07``, ``2:05:09``; ``-`` for None."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` significant digits and its thousands apart; ``-`` for None."""
    if value is None:
        return "-"
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{value:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:,.{digits}g}"
