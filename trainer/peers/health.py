"""Health checks by the chief of a ParameterServer run.

TensorFlow detects an unreachable server itself, because the server refuses connections. A server that is frozen or
whose node is lost keeps its connections, and TensorFlow waits for it indefinitely. Therefore the chief probes each
server and reacts as follows:

    unresponsive worker   the chief closes its connections; TensorFlow runs the step on another worker at once
    unresponsive ps       the run restarts from its checkpoint, as after the loss of that ps
    no worker answers     the run gives up after the orphan timeout
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from trainer.peers import probe as probes
from trainer.peers.probe import Probe
from trainer.runtime import descriptors, tf_config
from trainer.runtime.errors import GaveUp, LostPeer, TrainerExit
from trainer.runtime.logs import log

WATCH_EVERY: Final = 1.0
CUT_EVERY: Final = 0.1
"""Seconds between two cuts. TensorFlow reconnects at once, and its calls wait while a connection exists."""
WORKER_PATIENCE: Final = 2
"""Consecutive probes without an answer after which a worker is unresponsive. The cut only repeats one step."""
PS_PATIENCE: Final = 4
"""Consecutive probes without an answer after which a ps is lost. More than for a worker: the run loses steps."""

_ANSWER_SECONDS: Final = 2.5
_HUNG_UP: Final = "hung up"


class ServerHealthMonitor:
    """Probes the servers of a run and reacts to those that do not answer."""

    def __init__(
        self,
        ps: Mapping[str, str],
        workers: Mapping[str, str],
        *,
        orphan_timeout: float,
        probe: Probe | None = None,
        cut: Callable[[str], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a monitor that probes nothing yet; call `start`, or call `poll` and `cut` repeatedly.

        Args:
            ps: Name -> address (host:port) of each parameter server.
            workers: Name -> address (host:port) of each worker.
            orphan_timeout: Seconds without an answer of any worker after which the run gives up.
            probe: Returns why an address does not answer, None if it does.
            cut: Closes this process's connections to an address and returns their number.
            clock: Returns a time in seconds.

        """
        self._ps, self._workers = dict(ps), dict(workers)
        self._orphan_timeout = orphan_timeout
        self._probe = probe or _ask
        self._cut = cut or cut_connections
        self._clock = clock
        self._silent = dict.fromkeys({**ps, **workers}, 0)
        self._seen = clock()
        self._pool = ThreadPoolExecutor(max_workers=min(32, max(1, len(self._silent))))

    def poll(self) -> None:
        """Probe every server once and log changes.

        Raises:
            LostPeer: a ps is unresponsive.
            GaveUp: no worker has answered for the orphan timeout.

        """
        tasks = {**self._ps, **self._workers}
        reasons = dict(zip(tasks, self._pool.map(self._probe, tasks.values()), strict=True))
        for name, reason in reasons.items():
            if reason != _HUNG_UP:  # `cut` closed the connection, so the result means nothing
                self._count(name, self._silent[name] + 1 if probes.is_silent(reason) else 0, reason)
        if any(reasons[name] is None for name in self._workers):
            self._seen = self._clock()
        elif (absent := self._clock() - self._seen) >= self._orphan_timeout:
            raise GaveUp(f"no worker has answered for {absent:.0f} s: {', '.join(self._workers)}")

    def _count(self, name: str, silent: int, reason: str | None) -> None:
        before, self._silent[name] = self._silent[name], silent
        if name in self._ps:
            if silent >= PS_PATIENCE:
                raise LostPeer(f"{name} is unresponsive: {reason}")
        elif silent == WORKER_PATIENCE:
            log.info("%s is unresponsive: %s. The other workers run its steps.", name, reason)
        elif not silent and before >= WORKER_PATIENCE:
            log.info("%s answers again", name)

    def cut(self) -> None:
        """Close the connections to the unresponsive workers."""
        for name, address in self._workers.items():
            if self._silent[name] >= WORKER_PATIENCE:
                self._cut(address)

    def start(
        self, end: Callable[[TrainerExit], None], beat: Callable[[], None], every: float = WATCH_EVERY
    ) -> Callable[[], None]:
        """Poll in a background thread; return a function that stops the thread.

        Args:
            end: Ends the process. The thread calls it at most once, with the error of `poll`.
            beat: The thread calls it before each poll.
            every: Seconds between two polls.

        """
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(every):
                beat()
                try:
                    self.poll()
                except TrainerExit as error:
                    if not stop.is_set():
                        end(error)
                    return

        def cut() -> None:
            while not stop.wait(CUT_EVERY):
                self.cut()

        threading.Thread(target=run, name="server-watch", daemon=True).start()
        threading.Thread(target=cut, name="server-cut", daemon=True).start()
        return stop.set


def _ask(address: str) -> str | None:
    return probes.probe(address, _ANSWER_SECONDS, _HUNG_UP)


def cut_connections(address: str) -> int:
    """Shut down this process's TCP connections to `address` (host:port), except those of probes.

    Return the number of connections.
    """
    host, port = tf_config.split(address)
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return 0
    wanted = {_plain(info[4][0]) for info in infos}
    return sum(_cut(name, wanted, port) for name in os.listdir(descriptors.FOLDER))  # noqa: PTH208 - names only


def _cut(name: str, hosts: set[str], port: int) -> bool:
    """Shut down the file descriptor `name` if it is a connection to `port` on one of `hosts`; return whether it was."""
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
            return False
        with socket.socket(fileno=os.dup(int(name))) as each:
            if each.family in (socket.AF_INET, socket.AF_INET6):
                peer = each.getpeername()
                if peer[1] == port and _plain(peer[0]) in hosts and each.getsockname()[1] not in probes.probing:
                    each.shutdown(socket.SHUT_RDWR)
                    return True
    return False


def _plain(host: object) -> str:
    """Return the IPv4 form of an IPv4-mapped IPv6 address, and any other address unchanged."""
    return str(host).removeprefix("::ffff:")
