"""A finding: a requirement, what the cluster has, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding means for runs."""

    OK = "ok"
    WARN = "warn"
    """Some runs need it, or it could not be checked."""
    FAIL = "fail"
    """No run starts, or a promise of the project does not hold."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    verdict: Verdict
    found: str
    """What the cluster has, in some words."""
    fix: str = ""
    """What to do, in the imperative; empty for `ok`."""

    def as_json(self) -> dict[str, str]:
        """Return the finding for programs."""
        return {"check": self.check, "verdict": self.verdict.value, "found": self.found, "fix": self.fix}


def ok(check: str, found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(check, Verdict.OK, found)


def warn(check: str, found: str, fix: str) -> Finding:
    """Return a finding that matters to some runs."""
    return Finding(check, Verdict.WARN, found, fix)


def fail(check: str, found: str, fix: str) -> Finding:
    """Return a finding that matters to all runs."""
    return Finding(check, Verdict.FAIL, found, fix)
