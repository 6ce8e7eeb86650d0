"""The timer that ends a process whose Python threads are all blocked."""

import signal
import subprocess
import sys

import pytest

# A function of PyDLL keeps Python's global interpreter lock, as TensorFlow does while it waits for its peers.
BLOCKED = """
import ctypes, threading, os
from trainer.runtime import c_timer
cancel = c_timer.exit_after(1, 76)
threading.Timer(0.1, lambda: os._exit(3)).start()
ctypes.PyDLL(None).sleep(120)
"""
CANCELLED = """
import time
from trainer.runtime import c_timer
c_timer.exit_after(1, 76)()
time.sleep(1.5)
"""
# This stands for a system without the timer.
ELSEWHERE = "import sys; sys.platform = 'darwin'\n"


def test_blocked_process_ends_with_the_code() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (76, "", "")


def test_blocked_process_ends_with_a_signal_on_macos() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE + BLOCKED], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGALRM, b"", b"")


@pytest.mark.parametrize("system", ["", ELSEWHERE])
def test_cancelled_timer_ends_nothing(system: str) -> None:
    code = system + CANCELLED
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
