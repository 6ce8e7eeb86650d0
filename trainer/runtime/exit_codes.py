"""The exit codes of a task. The file `exit_codes.json` defines them.

The tables of `tfd`, the README, the reference pages and `python -m trainer --help` come from the same file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    """One exit code."""

    code: int
    name: str
    meaning: str
    """What happened, as a sentence."""
    retried: bool
    """Whether Kubernetes retries the task by default."""
    next: str
    """The next action of the user, as sentences."""


def _read() -> tuple[ExitCode, ...]:
    text = resources.files("trainer.runtime").joinpath("exit_codes.json").read_text(encoding="utf-8")
    return tuple(ExitCode(**entry) for entry in json.loads(text))


EXIT_CODES: Final = _read()
"""All exit codes in ascending order, including those that Kubernetes or the kernel sets."""
_BY_NAME: Final = {each.name: each.code for each in EXIT_CODES}

DONE: Final = _BY_NAME["DONE"]
FAILED: Final = _BY_NAME["FAILED"]
BAD_CONFIG: Final = _BY_NAME["BAD_CONFIG"]
RETRYABLE: Final = _BY_NAME["RETRYABLE"]
GAVE_UP: Final = _BY_NAME["GAVE_UP"]
KILLED: Final = _BY_NAME["KILLED"]
STOPPED: Final = _BY_NAME["STOPPED"]
OWN_CODES: Final = (DONE, FAILED, BAD_CONFIG, RETRYABLE, GAVE_UP, STOPPED)
"""The exit codes of the trainer itself."""
