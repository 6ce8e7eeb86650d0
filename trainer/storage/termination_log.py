"""The one-line JSON result in the container's termination log, which `kubectl describe pod` shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainer.runtime.logs import log
from trainer.runtime.serialize import to_json

LIMIT: Final = 4096
"""Bytes that Kubernetes reads. It truncates a longer text, which would then be invalid JSON."""


def write(path: str | None, code: int, message: str, details: Mapping[str, Any]) -> None:
    """Write the result to `path`, if it is set. A failure to write is only logged.

    Args:
        path: The termination log of the container.
        code: The exit code.
        message: The reason of the exit, as one line.
        details: Further fields of the JSON object.

    """
    if not path:
        return
    try:
        Path(path).write_text(line(code, message, details), encoding="ascii")
    except OSError as error:
        log.info("cannot write the termination log %s: %s", path, error.strerror)


def line(code: int, message: str, details: Mapping[str, Any]) -> str:
    """Return the result as one line of JSON of at most `LIMIT` bytes.

    A long result loses the end of its message. If an empty message is not enough, it loses its details instead.
    """
    for rest in (details, {}):
        result: dict[str, Any] = {"exitCode": code, "message": message, **rest}
        while (room := LIMIT - len(text := to_json(result))) < 0 and result["message"]:
            # A character takes at most twelve bytes in JSON, so at least this number of characters must be removed.
            result["message"] = result["message"][: room // 12]
        if room >= 0:
            return text
    return to_json({"exitCode": code})
