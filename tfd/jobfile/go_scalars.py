"""The values of plain (unquoted) YAML scalars by the rules of Go's yaml.v2 (`go.yaml.in/yaml/v2`, resolve.go)."""

from __future__ import annotations

import math
import re

_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
INFINITE = frozenset(
    [".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"]
)
# A whole number in base 16, 2 or 8. Go reads 017 as octal.
_BASED = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]?([0-7]+))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar that is not one of INFINITE; an integral number comes as int."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] not in "+-.0123456789":
        return text
    # yaml.v2 ignores underscores, except in a number that begins with a point.
    number = _number(text if text[0] == "." else text.replace("_", ""))
    if number is None or not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def _number(digits: str) -> float | None:
    """Return the number that `digits` stand for; None for a word. Go takes what does not fit into 64 bits as a word."""
    if based := _BASED.fullmatch(digits):
        sign, *bodies = based.groups()
        [(base, body)] = [(base, body) for base, body in zip((16, 2, 8), bodies, strict=True) if body]
        value = int(sign + body, base)
        if -(2**63) <= value < (2**63 if sign else 2**64):
            return float(value)
    # A decimal number has any number of digits, also one that begins with 0.
    return float(digits) if _FLOAT.fullmatch(digits) else None
