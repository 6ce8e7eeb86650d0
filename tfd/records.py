"""Reads the JSON files of a run directory, in which other runs of the same storage may write."""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tfd.text import finite

LARGEST: Final = 1 << 20
"""Bytes of the longest file that is read. The files of a run directory have some hundred."""
_NUMBERS: Final = frozenset(
    {"step", "steps", "stepsPerSecond", "examplesPerSecond", "etaSeconds", "loss", "restarts", "exitCode"}
)
_TEXTS: Final = frozenset({"state", "message", "run", "hash"})


def read(path: Path | None) -> dict[str, Any]:
    """Return the known fields of the JSON object in `path`; empty without a regular file of limited size."""
    if path is None:
        return {}
    try:
        # Opening a named pipe would wait for its other end without O_NONBLOCK.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return {}
            content = file.read(LARGEST + 1)
        return parse(content.decode()) if len(content) <= LARGEST else {}
    except (OSError, ValueError):
        return {}


def parse(text: str) -> dict[str, Any]:
    """Return the JSON object in `text` without the fields of a wrong type; empty if `text` is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: each for name, each in value.items() if each is None or _is_right(name, each)}


def _is_right(name: str, value: Any) -> bool:  # noqa: ANN401 - any JSON
    if name in _NUMBERS:
        return finite(value) is not None
    if name in _TEXTS:
        return isinstance(value, str)
    if name == "updated":
        return _is_time(value)
    if name == "metrics":
        return isinstance(value, dict) and all(each is None or finite(each) is not None for each in value.values())
    if name == "lastCheckpoint":
        return isinstance(value, dict) and finite(value.get("step")) is not None
    return True


def _is_time(value: Any) -> bool:  # noqa: ANN401 - any JSON
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
