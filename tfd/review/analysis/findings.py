"""What a review has to say against a pull request."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Level(Enum):
    """How much a finding weighs."""

    REFUSED = "refused"
    UNKNOWN = "can't tell"
    WAIVED = "waived"
    WARNING = "warning"


@dataclass(frozen=True)
class Suggestion:
    """A line of a file, and what to put in its place."""

    line: int
    text: str


@dataclass(frozen=True)
class Finding:
    """One thing to know before merging."""

    level: Level
    path: str
    message: str
    line: int = 1
    column: int = 1
    rule: str = ""
    """Name of the rule of review.yaml, if it is one of those."""
    mend: str = ""
    """A command that mends it."""
    suggestion: Suggestion | None = None
    waiver: tuple[str, ...] = field(default=())
    """Who may waive it, or, once it is waived, who did."""
