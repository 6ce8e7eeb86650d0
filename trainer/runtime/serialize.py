"""Times and JSON as the files of a run directory contain them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

from trainer.runtime.types import Json


def now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: Json, *, indent: int | None = None) -> str:
    """Return `value` as JSON; a number that is none (a diverged loss) becomes null, which every reader accepts."""

    def clean(part: Json) -> Json:
        if isinstance(part, dict):
            return {name: clean(each) for name, each in part.items()}
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(clean(value), indent=indent) + "\n"
