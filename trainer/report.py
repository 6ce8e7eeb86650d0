"""The one-line JSON result in the container's termination log, which `kubectl describe pod` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainer.logs import log

_LIMIT: Final = 4000  # Kubernetes reads 4096 bytes


def write(path: str | None, code: int, message: str, details: Mapping[str, Any]) -> None:
    """Write the result to `path`; nothing happens without one, and a path that can't be written is only logged."""
    if not path:
        return
    line = json.dumps({"exitCode": code, "message": message[: _LIMIT // 2], **details})
    try:
        Path(path).write_text(line[:_LIMIT] + "\n", encoding="utf-8")
    except OSError as error:
        log.info("can't write the termination log %s: %s", path, error.strerror)
