"""A timer of the C library that ends this process without Python.

TensorFlow can block every Python thread, because its C++ code holds the global interpreter lock while it waits. The
timer calls `_exit` in a thread of the C library, which needs no lock.

macOS has no such timer. There, the kernel ends the process with SIGALRM, so its exit code is that of the signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import ClassVar, Final

_SIGEV_THREAD: Final = 2
_SIGEV_BYTES: Final = 64


class _SignalEvent(ctypes.Structure):
    """`struct sigevent` of Linux for a function that is called with `value`."""

    _fields_: ClassVar = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("rest", ctypes.c_byte * (_SIGEV_BYTES - 32)),
    ]


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_: ClassVar = [(name, ctypes.c_long) for name in ("every", "every_ns", "after", "after_ns")]


def exit_after(seconds: int, code: int) -> Callable[[], None]:
    """End this process with the exit code `code` after `seconds`; return a function that cancels this.

    Raises:
        OSError: the C library cannot start the timer.

    """
    if sys.platform != "linux":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(max(1, seconds))
        return lambda: signal.alarm(0)
    libc = ctypes.CDLL(None, use_errno=True)
    timers = libc if hasattr(libc, "timer_create") else ctypes.CDLL("librt.so.1", use_errno=True)  # glibc before 2.34
    end = ctypes.cast(libc._exit, ctypes.c_void_p)
    event = _SignalEvent(value=code, notify=_SIGEV_THREAD, function=end)
    timer = ctypes.c_void_p()
    if timers.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    timers.timer_settime(timer, 0, ctypes.byref(_TimerSpec(after=max(1, seconds))), None)
    return lambda: timers.timer_delete(timer)
