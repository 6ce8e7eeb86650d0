"""Log lines `HH:MM:SS <role>-<i> message` on standard error, and the one way to leave the process."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final, NoReturn

log: Final = logging.getLogger("trainer")


def configure(task: str) -> None:
    """Send the trainer's log to standard error under the name of this task, one flushed line per message."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s {task} %(message)s", datefmt="%H:%M:%S"))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)


def leave(code: int, message: str) -> NoReturn:
    """Say `message` on the last line and end the process with `code`.

    Not through `sys.exit`: dropping a strategy and its iterators takes seconds, and TensorFlow's servers can't be
    stopped.
    """
    log.info("exit %d: %s", code, message)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
