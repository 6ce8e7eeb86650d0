"""Preemption of a single server: a ps or worker that alone receives SIGTERM exits early without loss of steps.

This happens when a node is drained. The server announces its exit in a queue (see `trainer.peers.control_queue`). The
chief polls that queue and sends the server its exit code:

    worker   at once, because the other workers run its steps
    ps       after the chief has saved a checkpoint; the chief then restarts in place and waits for the replacement

When a whole run is stopped, the chief receives SIGTERM too. Then it sends no early exit code, and all servers wait
until it has saved the checkpoint.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import tensorflow as tf

from trainer.peers.control_queue import LEAVING, ControlQueue
from trainer.peers.probe import Probe, probe
from trainer.runtime.exit_codes import STOPPED
from trainer.runtime.logs import log

_LOOK_EVERY: Final = 1.0
_ANSWER_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 3.0
"""Seconds within which SIGTERM reaches all tasks when a whole run is stopped."""


class Queue(Protocol):
    """One queue of one server."""

    def size(self) -> int:
        """Return the number of messages in the queue."""

    def put(self, code: int) -> None:
        """Add the message `code` to the queue."""


class PreemptionHandler:
    """Tracks the servers that received SIGTERM, and sends them the code to exit with."""

    def __init__(
        self,
        ps: Mapping[str, str],
        workers: Mapping[str, str],
        *,
        stop_requested: Callable[[], bool],
        leaving: Callable[[str, str], Queue] | None = None,
        mailbox: Callable[[str, str], Queue] | None = None,
        probe: Probe = lambda address: probe(address, _ANSWER_SECONDS, "hung up"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a handler that polls nothing yet.

        Args:
            ps: Name -> address (host:port) of each parameter server.
            workers: Name -> address (host:port) of each worker.
            stop_requested: Returns whether this task itself received SIGTERM. Then no server exits early.
            leaving: Opens the queue in which a server (name, address) announces its exit.
            mailbox: Opens the queue in which a server (name, address) receives its exit code.
            probe: Returns why an address does not answer, None if it does.
            clock: Returns a time in seconds.

        """
        self._ps, self._workers = dict(ps), dict(workers)
        self._stop_requested = stop_requested
        self._leaving = leaving or (lambda name, address: _open(name, address, LEAVING))
        self._mailbox = mailbox or _open
        self._probe, self._clock = probe, clock
        self._queues: dict[str, Queue] = {}
        self._since: dict[str, float] = {}
        self._released: set[str] = set()
        self._pool = ThreadPoolExecutor(max_workers=min(32, max(1, len(ps) + len(workers))))

    def poll(self) -> None:
        """Poll every queue once, and release the workers that received SIGTERM."""
        tasks = {**self._ps, **self._workers}
        for name, leaving in zip(tasks, self._pool.map(self._is_leaving, tasks.items()), strict=True):
            if not leaving:
                self._since.pop(name, None)
                self._released.discard(name)
            elif name not in self._since:
                self._since[name] = self._clock()
                log.info("%s received SIGTERM", name)
        due = [name for name in self._due(self._workers) if name not in self._released]
        if due and len(self._since.keys() & self._workers.keys()) < len(self._workers):
            self.release(due)

    def leaving(self) -> list[str]:
        """Return the names of the ps that received SIGTERM and exit after the next checkpoint."""
        return self._due(self._ps)

    def release(self, names: list[str]) -> None:
        """Send the servers `names` the code STOPPED, with which they exit at once."""
        for name in names:
            self._released.add(name)
            try:
                self._mailbox(name, (self._ps | self._workers)[name]).put(STOPPED)
                log.info("sent exit code %d to %s", STOPPED, name)
            except tf.errors.OpError as error:
                log.info("cannot send the exit code to %s: %s", name, str(error).partition("\n")[0])

    def start(self) -> Callable[[], None]:
        """Poll every second in a background thread; return a function that stops the thread."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(_LOOK_EVERY):
                self.poll()

        threading.Thread(target=run, name="preemption", daemon=True).start()
        return stop.set

    def _due(self, among: Mapping[str, str]) -> list[str]:
        if self._stop_requested():
            return []
        now = self._clock()
        return [name for name, since in dict(self._since).items() if name in among and now - since >= SETTLE_SECONDS]

    def _is_leaving(self, task: tuple[str, str]) -> bool:
        name, address = task
        if self._probe(address) is not None:
            # gRPC would wait longer and longer between its attempts, also for the update that admits the server.
            self._queues.pop(name, None)
            return False
        try:
            if name not in self._queues:
                self._queues[name] = self._leaving(name, address)
            return self._queues[name].size() > 0
        except tf.errors.OpError:  # The health monitor handles unreachable and unresponsive servers.
            self._queues.pop(name, None)
            return False


def _open(name: str, address: str, queue: str | None = None) -> Queue:
    role, _, index = name.rpartition("-")
    target = f"grpc://{address}"
    return ControlQueue(target, role, int(index), queue) if queue else ControlQueue(target, role, int(index))
