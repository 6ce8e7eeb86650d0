"""Kubernetes quantities as numbers, and numbers for people."""

from __future__ import annotations

import re

_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", start=1)
}
_QUANTITY = re.compile(r"([0-9.]+)([a-zA-Z]*)")


def quantity(text: str) -> float:
    """Return the number that a Kubernetes quantity like ``500m`` or ``2Gi`` stands for."""
    digits, unit = _QUANTITY.fullmatch(str(text)).groups()  # type: ignore[union-attr]
    return float(digits) * _UNITS[unit]


def number(value: float) -> str:
    """Show a number with at most one decimal and its thousands apart."""
    return f"{value:,.1f}".removesuffix(".0")


def gibibytes(value: float) -> str:
    """Show bytes of memory."""
    return f"{number(value / 1024**3)} GiB"


def ratio(before: object, after: object) -> str:
    """Show how many times more `after` is than `before`; nothing for what is no number."""
    if isinstance(before, bool) or isinstance(after, bool):
        return ""
    if not isinstance(before, int | float) or not isinstance(after, int | float) or not before:
        return ""
    return f"x {after / before:.3g}"
