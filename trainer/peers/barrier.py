"""The start barrier: wait until every peer answers, and say which are missing and why.

TensorFlow itself waits without a word and without an end, and lets no other Python thread run meanwhile. So each task
waits here, until each has answered, and lets TensorFlow build the strategy when all are there.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from trainer.peers.probe import Probe, probe
from trainer.runtime.errors import GaveUp
from trainer.runtime.logs import log

FIRST_REPORT_AFTER: Final = 5.0
REPORT_EVERY: Final = 60.0
_PROBE_EVERY: Final = 0.5
_SHOWN: Final = 10


def describe(missing: Mapping[str, str]) -> str:
    """Return `missing` (task -> reason) as one line, grouped by reason and cut after ten names per reason."""
    groups: dict[str, list[str]] = {}
    for name, reason in missing.items():
        groups.setdefault(reason, []).append(name)
    parts = []
    for reason, names in groups.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        parts.append(f"{', '.join(names[:_SHOWN])}{more} ({reason})")
    return "; ".join(parts)


class Barrier:
    """Waits for a set of tasks, each of which counts as there once it has answered."""

    def __init__(
        self,
        tasks: Mapping[str, str],
        *,
        timeout: float,
        waited: float = 0.0,
        probe: Probe = probe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = dict(tasks)
        self._missing = dict.fromkeys(tasks, "not asked yet")
        self._timeout = timeout
        self._probe = probe
        self._clock = clock
        self._start = clock() - waited
        self._report_at = clock() + FIRST_REPORT_AFTER

    @property
    def missing(self) -> dict[str, str]:
        """Task -> why it is not there."""
        return dict(self._missing)

    def check(self) -> bool:
        """Ask the missing tasks once and report if it is time to; say whether all are there.

        Raises:
            GaveUp: the time is over.

        """
        names = list(self._missing)
        if names:
            with ThreadPoolExecutor(max_workers=min(32, len(names))) as pool:
                reasons = pool.map(self._probe, [self._tasks[name] for name in names])
                self._missing = {n: r for n, r in zip(names, reasons, strict=True) if r is not None}
        if not self._missing:
            return True
        waited = self._clock() - self._start
        if waited >= self._timeout:
            raise GaveUp(f"gave up after {waited:.0f} s: still missing {describe(self._missing)}")
        if self._clock() >= self._report_at:
            self._report_at = self._clock() + REPORT_EVERY
            there = len(self._tasks) - len(self._missing)
            log.info(
                "waiting for %d of %d tasks (%d there, %.0f s of %.0f s): missing %s",
                len(self._missing), len(self._tasks), there, waited, self._timeout, describe(self._missing),
            )  # fmt: skip
        return False

    def wait(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Return once every task has answered.

        Raises:
            GaveUp: the time is over.

        """
        while not self.check():
            sleep(_PROBE_EVERY)


def wait_for_all(barrier: Barrier, address: str | None, sleep: Callable[[float], object]) -> None:
    """Return once every task of `barrier` has answered; answer the others on this task's own `address` meanwhile.

    Raises:
        GaveUp: the time is over.

    """
    presence = ReadinessListener(address)
    try:
        barrier.wait(sleep)
    finally:
        presence.close()


class ReadinessListener:
    """Answers on this task's own port until TensorFlow takes it over.

    A task that waits for its peers has no TensorFlow server yet; without this they would wait for it as well.
    """

    def __init__(self, address: str | None) -> None:
        self._socket: socket.socket | None = None
        if address is None:
            return
        try:
            self._socket = socket.create_server(("", int(address.rpartition(":")[2])), backlog=128)
        except OSError as error:
            log.info("can't listen on %s while waiting (%s)", address, error)
            return
        threading.Thread(target=self._accept, args=(self._socket,), name="presence", daemon=True).start()

    @staticmethod
    def _accept(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # closed
                return
            connection.close()

    def close(self) -> None:
        """Give the port back."""
        if self._socket is not None:
            # shutdown() first: it wakes the thread in accept(), which otherwise keeps the port open.
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
