"""Words and numbers for people."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST_VALUE = 80
_LARGE = 1e15
NOT_A_NUMBER = "not a number"
# Letters and symbols without ink: Default_Ignorable_Code_Point of Unicode, and what fonts draw as a blank. Most of the
# characters without ink are of the categories C and Z; these are of others.
_UNUSUAL = re.compile(r"[^ -~]")
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc\U00016fe4\U0001d159"
    "\U000e0000-\U000e0fff]"
)
# What a CI service takes as a command to itself: `::error`, `##[group]`, `##vso[...]`, `##teamcity[...]`.
_COMMAND = re.compile(r"^(?P<indent>[ \t]*):(?=:)|#(?=#[\w.]*\[)", re.MULTILINE)


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


def visible(text: str, *, lines: bool = False, ascii_only: bool = False) -> str:
    """Return `text` with each character that a person cannot see, or a program would act on, spelled as ``<U+XXXX>``.

    These are control characters, direction marks, unusual spaces and characters without ink. A letter keeps one
    combining mark; all others are spelled out, as is the first character of a command to a CI service.
    The result stays the same when it is passed again.

    Args:
        text: any text, also with lone surrogates.
        lines: keep line feeds and tabs.
        ascii_only: spell out every character outside ASCII. Set it for names and paths, because letters of two
            alphabets look alike.

    """
    kept = "\n\t" if lines else ""

    def each(found: re.Match[str]) -> str:
        char, before = found[0], text[max(0, found.start() - 1) : found.start()]
        return char if char in kept or not _is_hidden(before, char, ascii_only) else _spelled(char)

    return _COMMAND.sub(lambda found: (found["indent"] or "") + _spelled(found[0][-1]), _UNUSUAL.sub(each, text))


@lru_cache(maxsize=4096)
def _is_hidden(before: str, char: str, ascii_only: bool) -> bool:
    """Return whether `char`, which is not printable ASCII, is not one visible sign, nor a mark on a letter."""
    group = unicodedata.category(char)[0]
    if ascii_only or group in "CZ" or _BLANK.match(char):
        return True
    return group == "M" and (not before.isalpha() or _BLANK.match(before) is not None)


def _spelled(char: str) -> str:
    return f"<U+{ord(char):04X}>"


def json_text(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return JSON for programs, in ASCII and without a command to the CI service that may log it.

    A number that is not finite becomes null, because JSON has no word for it.
    """
    return json.dumps(_finite_only(value), indent=1).replace("##", r"\u0023#")


def _finite_only(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _finite_only(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_only(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(text: str) -> str:
    """Return lines of a log without color codes and control characters, and else as `visible` returns them."""
    return visible(_CONTROL.sub("", text), lines=True)


def finite(value: Any) -> float | None:  # noqa: ANN401 - any value of a JSON file
    """Return a value of a file that a run wrote as a number; None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer above the range of floats
        return None


def duration(seconds: Any) -> str:  # noqa: ANN401 - any value of a JSON file
    """Return seconds for people: ``41 s``, ``3:07``, ``2:05:09``; ``-`` for what is not a finite number."""
    known = finite(seconds)
    if known is None:
        return "-"
    whole = max(0, round(known))
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def number(value: Any, digits: int = 3) -> str:  # noqa: ANN401 - any value of a JSON file
    """Return a number with `digits` significant digits and its thousands apart; ``-`` for None."""
    if value is None:
        return "-"
    known = finite(value)
    if known is None:
        return NOT_A_NUMBER
    rounded = float(f"{known:.{digits - 1}e}")
    return f"{known:,.0f}" if 10 ** (digits - 1) <= abs(rounded) < _LARGE else f"{rounded:,.{digits}g}"


def metric(value: Any) -> str:  # noqa: ANN401 - any value of a JSON file
    """Return the value of a metric. The files of a run have null for a value that is not a number."""
    return NOT_A_NUMBER if value is None else number(value, 4)
