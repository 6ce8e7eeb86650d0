"""A ps or worker that is told to stop alone, because its node is drained, leaves soon and costs no step.

It says so in a queue of its own, as in `trainer.peers.control_queue`, and the chief looks into those queues:

    a worker   may leave at once: the others do its steps
    a ps       may leave as soon as the chief has saved; the chief then starts anew in place and waits for the next one

When all tasks are told to stop, the chief is among them, and none of this happens: they wait for it to save.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import tensorflow as tf

from trainer.peers.control_queue import LEAVING, ControlQueue
from trainer.runtime.exit_codes import STOPPED
from trainer.runtime.logs import log

_LOOK_EVERY: Final = 1.0
SETTLE_SECONDS: Final = 3.0
"""The signal reaches the tasks of a run that is stopped as a whole within so many seconds."""


class Queue(Protocol):
    """One queue of one server."""

    def size(self) -> int:
        """Return how many messages are in it."""

    def put(self, code: int) -> None:
        """Leave a message."""


class PreemptionHandler:
    """Knows which servers are leaving, and lets them go."""

    def __init__(
        self,
        ps: Mapping[str, str],
        workers: Mapping[str, str],
        *,
        stop_requested: Callable[[], bool],
        leaving: Callable[[str, str], Queue] | None = None,
        mailbox: Callable[[str, str], Queue] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch the servers `ps` and `workers` (name -> address) until this task itself has `stop_requested`."""
        self._ps, self._workers = dict(ps), dict(workers)
        self._stop_requested = stop_requested
        self._leaving = leaving or (lambda name, address: _open(name, address, LEAVING))
        self._mailbox = mailbox or _open
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._since: dict[str, float] = {}
        self._gone: set[str] = set()
        self._pool = ThreadPoolExecutor(max_workers=min(32, max(1, len(ps) + len(workers))))

    def poll(self) -> None:
        """Look into every queue once, and let the workers go that are leaving."""
        tasks = {**self._ps, **self._workers}
        for name, leaves in zip(tasks, self._pool.map(self._asks, tasks.items()), strict=True):
            if not leaves:
                self._since.pop(name, None)
                self._gone.discard(name)
            elif name not in self._since:
                self._since[name] = self._clock()
                log.info("%s was told to stop", name)
        due = [name for name in self._due(self._workers) if name not in self._gone]
        if due and len(self._since.keys() & self._workers.keys()) < len(self._workers):
            self.release(due)

    def leaving(self) -> list[str]:
        """Return the ps that are leaving: they may as soon as the checkpoint is saved."""
        return self._due(self._ps)

    def release(self, names: list[str]) -> None:
        """Tell the servers `names` to leave now."""
        for name in names:
            self._gone.add(name)
            try:
                self._mailbox(name, (self._ps | self._workers)[name]).put(STOPPED)
                log.info("%s may leave", name)
            except tf.errors.OpError as error:
                log.info("could not tell %s that it may leave: %s", name, str(error).partition("\n")[0])

    def start(self) -> Callable[[], None]:
        """Look again and again in a thread; return what stops that."""
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

    def _asks(self, task: tuple[str, str]) -> bool:
        name, address = task
        try:
            if name not in self._queues:
                self._queues[name] = self._leaving(name, address)
            return self._queues[name].size() > 0
        except tf.errors.OpError:  # it is gone, or hangs: others notice that
            self._queues.pop(name, None)
            return False


def _open(name: str, address: str, queue: str | None = None) -> Queue:
    role, _, index = name.rpartition("-")
    target = f"grpc://{address}"
    return ControlQueue(target, role, int(index), queue) if queue else ControlQueue(target, role, int(index))
