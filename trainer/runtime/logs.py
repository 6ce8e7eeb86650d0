"""Log lines on standard error.

As text `HH:MM:SS <role>-<i> message`; as JSON one object per line with `time`, `task`, `level`, `message`, and `step`,
`steps`, `loss`, `stepsPerSecond` and the like where the message tells of them.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

log: Final = logging.getLogger("trainer")


class _Json(logging.Formatter):
    """One JSON object per record."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self._task = task

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "task": self._task,
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        for name, value in getattr(record, "fields", {}).items():
            line[name] = None if isinstance(value, float) and not math.isfinite(value) else value
        if record.exc_info and record.exc_info[1]:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line)


def configure(task: str, style: str = "text") -> None:
    """Send the trainer's log to standard error under the name of this task, one flushed line per message.

    As `json` the lines of TensorFlow's and other Python loggers, too, and Python's warnings; what C++ prints is text.
    """
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_Json(task))
        logging.getLogger().handlers[:] = [handler]
        logging.captureWarnings(True)
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {task} %(message)s", datefmt="%H:%M:%S"))
    logging.raiseExceptions = False  # a line that can't be written must neither end a training nor fill the log
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log line whose message tells of `values`: as JSON it has them as fields, too."""
    return {"fields": values}


def describe(metrics: Mapping[str, float]) -> str:
    """Return `metrics` as text for one log line."""
    return " ".join(f"{name} {value:.4f}" for name, value in metrics.items()) or "no held-out data"


def style() -> str:
    """Return how the trainer's log is written, as `configure` was told."""
    return "json" if any(isinstance(handler.formatter, _Json) for handler in log.handlers) else "text"


def show(error: BaseException) -> None:
    """Print where `error` comes from."""
    if style() == "json":
        log.error("%s", type(error).__name__, exc_info=error)
    else:
        traceback.print_exception(error, file=sys.stderr)
