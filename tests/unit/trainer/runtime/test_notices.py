"""Only the notices of TensorFlow's import are kept off standard error."""

import os
import threading
from typing import Any

import pytest

from trainer.runtime.notices import without_notices

NOTICES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1795965091.238537    9602 port.cc:153] oneDNN custom operations are on.\n"
)
OTHERS = b"W0000 00:00:1795965091.238537    9602 x.cc:1] a warning\nTraceback\nI am a line without an end"


def test_notices_are_dropped_and_all_else_stays(capfd: Any) -> None:
    with without_notices():
        os.write(2, NOTICES + OTHERS)
    os.write(2, b".\n")
    assert capfd.readouterr().err.encode() == OTHERS + b".\n"


def test_an_error_is_not_lost(capfd: Any) -> None:
    with pytest.raises(ImportError), without_notices():
        os.write(2, OTHERS)
        raise ImportError
    assert capfd.readouterr().err.encode() == OTHERS


def test_nothing_is_left_behind(capfd: Any) -> None:
    before = set(os.listdir("/proc/self/fd")), threading.active_count()
    with without_notices():
        os.write(2, NOTICES)
    assert (set(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert capfd.readouterr().err == ""
