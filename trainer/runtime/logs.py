"""Log lines on standard error, as text or JSON.

A text line is `HH:MM:SS <role>-<index> message`. A JSON line is an object with `time`, `task`, `level` and `message`.
It also contains the values in the message as fields, such as `step`, `steps`, `loss` and `stepsPerSecond`.
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
    """Formats each log record as one JSON object."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self._task = task

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
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
    """Write the trainer's log to standard error, one flushed line per message.

    The style `json` also covers TensorFlow's and other Python loggers, and Python's warnings. The output of C++ code
    remains text.

    Args:
        task: Name of this task, for each line.
        style: `text` or `json`.

    """
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_Json(task))
        logging.getLogger().handlers[:] = [handler]
        logging.captureWarnings(True)
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {task} %(message)s", datefmt="%H:%M:%S"))
    logging.raiseExceptions = False  # A failed write must neither end the training nor fill the log.
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` argument of a log call that adds `values` to the JSON line as fields."""
    return {"fields": values}


def describe(metrics: Mapping[str, float]) -> str:
    """Return `metrics` (name -> value) as text for one log line."""
    return " ".join(f"{name} {number(value)}" for name, value in metrics.items()) or "no evaluation data"


def number(value: float) -> str:
    """Return `value` as text for people, with six significant digits."""
    return f"{value:.6g}" if math.isfinite(value) else "not a number"


def style() -> str:
    """Return the style that `configure` set: `text` or `json`."""
    return "json" if any(isinstance(handler.formatter, _Json) for handler in log.handlers) else "text"


def show(error: BaseException) -> None:
    """Log `error` with its traceback."""
    if style() == "json":
        log.error("%s", type(error).__name__, exc_info=error)
    else:
        traceback.print_exception(error, file=sys.stderr)
