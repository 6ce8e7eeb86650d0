"""Start the programs of a workbench, and end all of them when one ends or a signal arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from types import FrameType

from tfd.workbench.programs import Program

GRACE_SECONDS = 10
"""Time between SIGTERM and SIGKILL. JupyterLab ends its kernels in this time."""
POLL_SECONDS = 0.2
OPEN = 1
"""Exit code after a program answered without the token."""
ENDED = os.EX_TEMPFAIL
"""Exit code after a program ended by itself. Kubernetes then starts another pod."""
Say = Callable[[str], None]


class Supervisor:
    """Runs programs until one of them ends or this process receives SIGINT or SIGTERM."""

    def __init__(self, programs: list[Program], say: Say) -> None:
        self.programs = programs
        self.say = say
        self.running: dict[int, Program] = {}
        self.stopping = False
        self.exit_code = 0

    def run(self, ready: Callable[[], None]) -> int:
        """Run the programs, call `ready` when all of them answer, and return the exit code.

        It is 0 after a signal, and after a planned end of a program.
        """
        with self._signals():
            for program in self.programs:
                # In a session of its own, it does not receive Ctrl-C: this process ends the programs in order.
                process = subprocess.Popen(
                    program.command, env=program.environment, stdin=subprocess.DEVNULL, start_new_session=True
                )
                self.running[process.pid] = program
            threading.Thread(target=self._watch, args=(ready,), daemon=True).start()
            while self.running:
                # This process may be process 1 of a container, so it also waits for processes that lost their parent.
                pid, status = os.wait()
                if pid in self.running:
                    self._ended(self.running.pop(pid), os.waitstatus_to_exitcode(status))
        return self.exit_code

    def stop(self, exit_code: int) -> None:
        """Send SIGTERM to all programs once, and SIGKILL after the grace period."""
        if not self.stopping:
            self.stopping = True
            self.exit_code = exit_code
            signal.alarm(GRACE_SECONDS)
            self._send(signal.SIGTERM)

    def _ended(self, program: Program, code: int) -> None:
        if self.stopping:
            return
        planned = program.end if code == 0 else ""
        self.say(f"{program.name} {planned or f'ended with exit code {code}'}, so the workbench ends.")
        self.stop(0 if planned else ENDED)

    def _send(self, number: int) -> None:
        for pid in list(self.running):
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                continue

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, frame: FrameType | None) -> None:
            self.stop(self.exit_code)

        def kill(number: int, frame: FrameType | None) -> None:
            self._send(signal.SIGKILL)

        handlers = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGALRM: kill}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            signal.alarm(0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self, ready: Callable[[], None]) -> None:
        """Wait until all programs answer, and end the workbench if one of them answers without the token."""
        for program in self.programs:
            while answer(program.ready) is None:
                if self.stopping:
                    return
                time.sleep(POLL_SECONDS)
            if answer(program.protected) != HTTPStatus.FORBIDDEN:
                self.say(
                    f"{program.name} answers without the token, so the workbench ends. "
                    "Remove the setting that switches off its authentication, in the folder ~/.jupyter."
                )
                self.exit_code = OPEN
                os.kill(os.getpid(), signal.SIGTERM)
                return
        ready()


def answer(address: str) -> int | None:
    """Return the HTTP status of an address; None if nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
