"""Handling of SIGTERM and SIGINT, which both stop the task.

TensorFlow's C++ calls may block the main thread for minutes, and Python runs signal handlers only in the main thread.
Therefore Python writes the number of each signal to a wake-up pipe, and a separate thread reads it.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def _handler(_signum: int, _frame: FrameType | None) -> None:
    """Do nothing. Python writes to the wake-up pipe only for signals that have a handler."""


class StopSignal:
    """Records whether this process received SIGTERM or SIGINT, and ends the process.

    Initially a signal ends the process at once through the action of `on_stop`. During training, `hold` delays that
    action so that the loop can save a checkpoint. A timer runs the action before the end of the grace period.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._action: Callable[[], None] | None = None
        self._hold_seconds: float | None = None
        self._at: float | None = None
        self._sender: socket.socket | None = None

    def install(self) -> None:
        """Start to handle SIGTERM and SIGINT. Call this from the main thread, before TensorFlow is imported."""
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self.take_over()
        threading.Thread(target=self._listen, args=(receiver,), name="stop-signal", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # An in-place restart blocks them across its exec().

    def take_over(self) -> None:
        """Set the signal handlers. Call this again after MultiWorkerMirroredStrategy has set its own."""
        for signum in SIGNALS:
            signal.signal(signum, _handler)

    def uninstall(self) -> None:
        """Close the wake-up pipe. The signal handlers stay."""
        signal.set_wakeup_fd(-1)
        if self._sender:
            self._sender.close()

    def _listen(self, receiver: socket.socket) -> None:
        with receiver:
            while data := receiver.recv(64):
                # A custom script may have set its own handler. Then that handler alone handles the signal.
                if any(n in SIGNALS and signal.getsignal(n) is _handler for n in data):
                    self.set()

    def set(self) -> None:
        """Act as if a signal had arrived."""
        with self._lock:
            first, self._at = self._at is None, self._at or time.monotonic()
            self._event.set()
            action, seconds = self._action, self._hold_seconds
        if seconds is None:
            if action:
                action()
        elif first:
            threading.Thread(target=self._watch, args=(seconds,), name="stop-watchdog", daemon=True).start()

    def _watch(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._action:
            self._action()

    def on_stop(self, action: Callable[[], None]) -> None:
        """Set the action that ends the process."""
        self._action = action

    def hold(self, seconds: float) -> None:
        """Delay the action: from now on, it runs `seconds` after the first signal."""
        with self._lock:
            self._hold_seconds = seconds

    def release(self) -> None:
        """Undo `hold`. If a signal has arrived in the meantime, run the action at once."""
        with self._lock:
            self._hold_seconds = None
            came = self._event.is_set()
        if came and self._action:
            self._action()

    def is_set(self) -> bool:
        """Return whether a signal has arrived."""
        return self._event.is_set()

    def seconds_since(self) -> float:
        """Return the seconds since the first signal, or 0 if none has arrived."""
        return time.monotonic() - self._at if self._at is not None else 0.0

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for a signal; return whether one has arrived."""
        return self._event.wait(seconds)
