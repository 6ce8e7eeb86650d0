"""Reads Kubernetes quantities and formats numbers for people."""

from __future__ import annotations

import re

_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", start=1)
}
_QUANTITY = re.compile(r"([0-9.]+)([a-zA-Z]*)")


def quantity(text: str) -> float:
    """Return a Kubernetes quantity such as ``500m`` or ``2Gi`` as a number."""
    digits, unit = _QUANTITY.fullmatch(str(text)).groups()  # type: ignore[union-attr]
    return float(digits) * _UNITS[unit]


def decimal(value: float) -> str:
    """Return a number with thousands separators and at most one decimal."""
    return f"{value:,.1f}".removesuffix(".0")


def gibibytes(value: float) -> str:
    """Return bytes of memory in GiB."""
    return f"{decimal(value / 1024**3)} GiB"


def ratio(base: object, merged: object) -> str:
    """Return `merged` as a multiple of `base`; empty unless both are numbers."""
    if isinstance(base, bool) or isinstance(merged, bool):
        return ""
    if not isinstance(base, int | float) or not isinstance(merged, int | float) or not base:
        return ""
    return f"x {merged / base:.3g}"
