"""The end of this process."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

from trainer.runtime.logs import fields, log


def leave(code: int, message: str) -> NoReturn:
    """Say `message` on the last line and end the process with `code`.

    Not through `sys.exit`: dropping a strategy and its iterators takes seconds, and TensorFlow's servers can't be
    stopped.
    """
    log.info("exit %d: %s", code, message, extra=fields(exitCode=code))
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
