"""Reads Kubernetes quantities."""

from __future__ import annotations

import re

_UNITS = (
    {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3}
    | {letter: 1000.0**power for power, letter in enumerate("kMGTPE", start=1)}
    | {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", start=1)}
)
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([-+]?[0-9]{1,3})|([a-zA-Z]{0,2}))")
# Kubernetes caps larger quantities.
_MOST = float(2**63 - 1)


def quantity(text: object) -> float:
    """Return a Kubernetes quantity such as ``500m``, ``2Gi`` or ``1e3`` as a number.

    Raises:
        ValueError: Kubernetes would refuse it.

    """
    found = _QUANTITY.fullmatch(str(text))
    if found is None or (found[3] or "") not in _UNITS:
        raise ValueError(f"no quantity: {str(text)[:40]}")
    number = float(f"{found[1]}e{found[2]}") if found[2] else float(found[1]) * _UNITS[found[3] or ""]
    return min(number, _MOST)
