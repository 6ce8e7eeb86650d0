"""The formats of times and JSON in the files of a run directory."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

from trainer.runtime.types import Json


def now() -> str:
    """Return the current time in UTC as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: Json, *, indent: int | None = None) -> str:
    """Return `value` as JSON with a final newline.

    NaN and infinity, as in a diverged loss, become null, because they are not valid JSON.
    """

    def clean(part: Json) -> Json:
        if isinstance(part, dict):
            return {name: clean(each) for name, each in part.items()}
        if isinstance(part, list | tuple):
            return [clean(each) for each in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(clean(value), indent=indent) + "\n"
