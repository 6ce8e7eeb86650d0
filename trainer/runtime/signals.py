"""SIGTERM and SIGINT: both mean stop.

TensorFlow's C++ calls may block the main thread for minutes, and Python runs signal handlers in the main thread only.
So the signal's number goes through a wake-up pipe to a thread of its own.
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
    """Only there so that Python writes the signal's number to the wake-up pipe."""


class StopSignal:
    """Whether this process received SIGTERM, and what happens then.

    At first a signal ends the process at once through `action`. While training, `hold` keeps it alive so that the
    loop can save a checkpoint, with a watchdog that ends it before the kernel would.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._action: Callable[[], None] | None = None
        self._hold_seconds: float | None = None
        self._at: float | None = None
        self._sender: socket.socket | None = None

    def install(self) -> None:
        """Take over SIGTERM and SIGINT; call from the main thread, before TensorFlow is imported."""
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self.take_over()
        threading.Thread(target=self._listen, args=(receiver,), name="stop-signal", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # an in-place restart blocks them across the exec

    def take_over(self) -> None:
        """Put the handlers in place, again after TensorFlow put its own there (MultiWorkerMirroredStrategy does)."""
        for signum in SIGNALS:
            signal.signal(signum, _handler)

    def uninstall(self) -> None:
        """Give back what `install` took, but for the handlers."""
        signal.set_wakeup_fd(-1)
        if self._sender:
            self._sender.close()

    def _listen(self, receiver: socket.socket) -> None:
        with receiver:
            while data := receiver.recv(64):
                # A user's script may have put its own handler in our place: then the signal is its business.
                if any(n in SIGNALS and signal.getsignal(n) is _handler for n in data):
                    self.set()

    def set(self) -> None:
        """Do what a signal does."""
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
        """Set what ends the process."""
        self._action = action

    def hold(self, seconds: float) -> None:
        """From now on a signal only sets the flag; `action` follows `seconds` later."""
        with self._lock:
            self._hold_seconds = seconds

    def release(self) -> None:
        """Undo `hold`: from now on, and if a signal came in the meantime at once, a signal ends the process."""
        with self._lock:
            self._hold_seconds = None
            came = self._event.is_set()
        if came and self._action:
            self._action()

    def is_set(self) -> bool:
        """Return whether a signal came."""
        return self._event.is_set()

    def seconds_since(self) -> float:
        """Return the seconds since the first signal, 0 when none came."""
        return time.monotonic() - self._at if self._at is not None else 0.0

    def wait(self, seconds: float) -> bool:
        """Sleep until a signal comes, at most `seconds`; return whether one did."""
        return self._event.wait(seconds)
