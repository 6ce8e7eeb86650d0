"""The one-line JSON result in the container's termination log, which `kubectl describe pod` shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainer.runtime.logs import log
from trainer.runtime.serialize import to_json

LIMIT: Final = 4096
"""Bytes that Kubernetes reads; more is cut off, and what is left would be no JSON."""


def write(path: str | None, code: int, message: str, details: Mapping[str, Any]) -> None:
    """Write the result to `path`; nothing happens without one, and a path that can't be written is only logged."""
    if not path:
        return
    try:
        Path(path).write_text(line(code, message, details), encoding="ascii")
    except OSError as error:
        log.info("can't write the termination log %s: %s", path, error.strerror)


def line(code: int, message: str, details: Mapping[str, Any]) -> str:
    """Return the result as one line of JSON of at most `LIMIT` bytes: the message is cut, then the details left out."""
    for rest in (details, {}):
        result: dict[str, Any] = {"exitCode": code, "message": message, **rest}
        while (room := LIMIT - len(text := to_json(result))) < 0 and result["message"]:
            # A character takes up to twelve bytes as JSON, so this many at least have to go.
            result["message"] = result["message"][: room // 12]
        if room >= 0:
            return text
    return to_json({"exitCode": code})
