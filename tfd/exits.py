"""The exit codes of a task, read from the trainer's own list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from tfd import assets


@dataclass(frozen=True)
class ExitCode:
    """One exit code."""

    code: int
    name: str
    meaning: str
    """One sentence."""
    retried: bool
    """Whether the Kubernetes Job starts a replacement."""
    next: str
    """What the user does next."""


@cache
def exit_codes() -> dict[int, ExitCode]:
    """Return all exit codes by their number."""
    return {entry["code"]: ExitCode(**entry) for entry in json.loads(assets.exit_codes())}


def meaning(code: int | None) -> str:
    """Return what an exit code means, without a full stop; empty for a code that is not in the list."""
    return exit_codes()[code].meaning.removesuffix(".") if code in exit_codes() else ""
