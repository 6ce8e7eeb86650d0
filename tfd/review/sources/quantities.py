"""Formats numbers for people."""

from __future__ import annotations


def decimal(value: float) -> str:
    """Return a number with thousands separators and at most one decimal."""
    return f"{value:,.1f}".removesuffix(".0")


def gibibytes(value: float) -> str:
    """Return bytes of memory in GiB."""
    return f"{decimal(value / 1024**3)} GiB"


def resource_amount(resource: str, value: float) -> str:
    """Return an amount of a resource of Kubernetes: bytes in GiB, anything else as a number."""
    return gibibytes(value) if resource in ("memory", "ephemeral-storage") else decimal(value)


def ratio(base: object, merged: object) -> str:
    """Return `merged` as a multiple of `base`; empty unless both are numbers."""
    if isinstance(base, bool) or isinstance(merged, bool):
        return ""
    if not isinstance(base, int | float) or not isinstance(merged, int | float) or not base:
        return ""
    return f"x {merged / base:.3g}"
