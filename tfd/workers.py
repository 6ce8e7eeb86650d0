"""The workers of an elastic run, as status.json has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfd.text import finite


@dataclass(frozen=True)
class Workers:
    """How many workers of an elastic run take part."""

    there: int
    least: int
    """Workers that start the run."""
    most: int
    """Workers of the run."""

    def __str__(self) -> str:
        return f"{self.there} of {self.most}"


def workers(status: Mapping[str, Any]) -> Workers | None:
    """Return the workers in the fields of status.json; None if the run is not elastic, or its program wrote others."""
    found = status.get("workers")
    if not isinstance(found, dict):
        return None
    there, least, most = (finite(found.get(name)) for name in ("there", "least", "most"))
    if there is None or least is None or most is None:
        return None
    return Workers(int(there), int(least), int(most))
