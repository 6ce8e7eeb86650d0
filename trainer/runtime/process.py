"""The exit of this process."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

from trainer.runtime.logs import fields, log


def leave(code: int, message: str) -> NoReturn:
    """Log `message` as the last line and exit with `code`.

    The function does not use `sys.exit`. The destruction of a strategy and its iterators would take seconds, and
    TensorFlow's servers cannot be stopped.
    """
    log.info("exit %d: %s", code, message, extra=fields(exitCode=code))
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
