"""Keeps the notices of TensorFlow's import off standard error.

On some processors TensorFlow reports that it uses oneDNN. It does so before it reads TF_CPP_MIN_LOG_LEVEL, so nothing
switches the report off, and it would be the first lines of each log.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_STDERR: Final = 2
_NOTICE: Final = re.compile(rb"WARNING: All log messages before absl::InitializeLog\(\)|I\d{4} \d\d:\d\d:")


@contextmanager
def without_notices() -> Iterator[None]:
    """Pass standard error on line by line, except TensorFlow's notices, which are its messages of the level INFO."""
    original = os.dup(_STDERR)
    receiver, sender = os.pipe()
    os.dup2(sender, _STDERR)
    os.close(sender)
    thread = threading.Thread(target=_pass_on, args=(receiver, original), name="notices", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(original, _STDERR)  # closes the only writer, so the thread reads to the end
        thread.join()
        os.close(original)


def _pass_on(receiver: int, original: int) -> None:
    with os.fdopen(receiver, "rb") as lines:
        for line in lines:
            if not _NOTICE.match(line):
                os.write(original, line)
