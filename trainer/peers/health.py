"""The chief of a ParameterServer run watches its servers: TensorFlow waits for one that hangs without an end.

A server that is gone refuses connections, and TensorFlow finds that out itself. One that hangs, or whose node does,
keeps its connections. Then the steps that run on a worker never come back, and nothing at all works without a ps. So:

    a worker that says nothing   its connections are cut: TensorFlow runs its step on another worker, at once
    a ps that says nothing       the run goes back to its checkpoint, as after the loss of that ps
    no worker at all             after the orphan time-out the run gives up
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from trainer.peers import probe as probes
from trainer.peers.probe import SILENT, Probe
from trainer.runtime.errors import GaveUp, LostPeer, TrainerExit
from trainer.runtime.logs import log

WATCH_EVERY: Final = 1.0
CUT_EVERY: Final = 0.1
"""TensorFlow connects anew at once, and as long as it may hope for an answer its calls wait."""
WORKER_PATIENCE: Final = 2
"""Probes in a row without an answer after which a worker's connections are cut: a step is run again, no more."""
PS_PATIENCE: Final = 4
"""The same for a ps: the run goes back to its checkpoint, so a little more patience is due."""

_ANSWER_SECONDS: Final = 2.5
_HUNG_UP: Final = "hung up"


class ServerHealthMonitor:
    """Decides what to do about servers that don't answer; `look` is to be called again and again."""

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
        self._ps, self._workers = dict(ps), dict(workers)
        self._orphan_timeout = orphan_timeout
        self._probe = probe or _ask
        self._cut = cut or cut_connections
        self._clock = clock
        self._silent = dict.fromkeys({**ps, **workers}, 0)
        self._seen = clock()
        self._pool = ThreadPoolExecutor(max_workers=min(32, max(1, len(self._silent))))

    def poll(self) -> None:
        """Ask every server once and do what is due.

        Raises:
            LostPeer: a ps hangs.
            GaveUp: no worker has answered for too long.

        """
        tasks = {**self._ps, **self._workers}
        reasons = dict(zip(tasks, self._pool.map(self._probe, tasks.values()), strict=True))
        for name, reason in reasons.items():
            if reason != _HUNG_UP:  # the connection was one of those that are cut
                self._count(name, self._silent[name] + 1 if reason == SILENT else 0)
        if any(reasons[name] is None for name in self._workers):
            self._seen = self._clock()
        elif (gone := self._clock() - self._seen) >= self._orphan_timeout:
            raise GaveUp(f"no worker has answered for {gone:.0f} s: {', '.join(self._workers)}")

    def _count(self, name: str, silent: int) -> None:
        before, self._silent[name] = self._silent[name], silent
        if name in self._ps:
            if silent >= PS_PATIENCE:
                raise LostPeer(f"{name} hangs: it takes connections but does not answer")
        elif silent == WORKER_PATIENCE:
            log.info("%s hangs: it takes connections but does not answer: the others do its steps", name)
        elif not silent and before >= WORKER_PATIENCE:
            log.info("%s hangs no longer", name)

    def cut(self) -> None:
        """Cut the connections of the workers that hang."""
        for name, address in self._workers.items():
            if self._silent[name] >= WORKER_PATIENCE:
                self._cut(address)

    def start(
        self, end: Callable[[TrainerExit], None], beat: Callable[[], None], every: float = WATCH_EVERY
    ) -> Callable[[], None]:
        """Look every `every` seconds in a thread, and `end` the process when it is time; return what stops that.

        `beat` is called in each round.
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
    """Shut down this process's TCP connections to `address` (host:port), but for our probes'; return how many."""
    host, _, port = address.rpartition(":")
    try:
        infos = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return 0
    wanted = {_plain(info[4][0]) for info in infos}
    return sum(_cut(name, wanted, int(port)) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - names will do


def _cut(name: str, hosts: set[str], port: int) -> bool:
    """Shut down the file descriptor `name` if it is a connection to `port` on one of `hosts`; say whether it was."""
    with contextlib.suppress(OSError):
        if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):  # noqa: PTH115
            return False
        with socket.socket(fileno=os.dup(int(name))) as each:
            if each.family in (socket.AF_INET, socket.AF_INET6):
                peer = each.getpeername()
                if peer[1] == port and _plain(peer[0]) in hosts and each.getsockname()[1] not in probes.probing:
                    each.shutdown(socket.SHUT_RDWR)
                    return True
    return False


def _plain(host: object) -> str:
    """Return an IPv4 address that is written as an IPv6 one as IPv4."""
    return str(host).removeprefix("::ffff:")
