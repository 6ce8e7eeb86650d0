"""Process 1 of a container: it passes signals on to the task, its child, and exits with the code of the task.

The kernel ignores SIGKILL that process 1 receives from inside its container. So the watchdog (`trainer.peers.watchdog`)
could not kill a task that is process 1. A fork gives the task another process ID.
"""

from __future__ import annotations

import os
import signal
from typing import Final

PROCESS_1: Final = 1
_SIGNALED: Final = 128
"""A process that a signal ends has the exit code 128 plus the number of the signal, as in a shell."""


def leave_process_1() -> None:
    """Continue in a child process if this process is process 1; return at once if it is not.

    Call this before any thread starts, because a fork copies only the calling thread. Process 1 never returns: it exits
    with the exit code of the child.
    """
    if os.getpid() != PROCESS_1:
        return
    # The mask blocks all signals, so none is lost between the fork and the first `sigwait`.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    task = os.fork()
    if task:
        os._exit(_supervise(task))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _supervise(task: int) -> int:
    """Pass each signal on to the process `task` and reap all child processes until it ends; return its exit code."""
    while True:
        received = signal.sigwait(signal.valid_signals())
        if received != signal.SIGCHLD:
            os.kill(task, received)
        elif (code := _reap(task)) is not None:
            return code


def _reap(task: int) -> int | None:
    """Reap the child processes that have ended; return the exit code of `task` if it is one of them."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # there are no more child processes
            return code
        if not ended:
            return code
        if ended == task:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else _SIGNALED - code
