"""The start barrier: wait until every peer answers, and log which peers are missing and why.

TensorFlow itself waits silently and indefinitely, and blocks all other Python threads while it waits. Therefore each
task waits here first. TensorFlow builds the strategy only after every peer has answered.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from trainer.peers.probe import Probe, probe
from trainer.runtime import tf_config
from trainer.runtime.errors import GaveUp
from trainer.runtime.logs import log

FIRST_REPORT_AFTER: Final = 5.0
REPORT_EVERY: Final = 60.0
_PROBE_EVERY: Final = 0.5
_SHOWN: Final = 10


def describe(missing: Mapping[str, str]) -> str:
    """Return `missing` (task -> reason) as one line.

    The line groups the tasks by reason and shows at most ten names per reason.
    """
    groups: dict[str, list[str]] = {}
    for name, reason in missing.items():
        groups.setdefault(reason, []).append(name)
    parts = []
    for reason, names in groups.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        parts.append(f"{', '.join(names[:_SHOWN])}{more} ({reason})")
    return "; ".join(parts)


class Barrier:
    """Waits until each of a set of tasks has answered once, or all but some that are optional."""

    def __init__(
        self,
        tasks: Mapping[str, str],
        *,
        timeout: float,
        waited: float = 0.0,
        optional: Collection[str] = (),
        spare: int = 0,
        probe: Probe = probe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock of the barrier.

        Args:
            tasks: Task name -> address (host:port).
            timeout: Seconds after which the barrier gives up.
            waited: Seconds that this task waited before an in-place restart. They count toward the timeout.
            optional: Names of tasks of which some may be missing.
            spare: The number of optional tasks that may be missing.
            probe: Returns why an address does not answer, None if it does.
            clock: Returns a time in seconds.

        """
        self._tasks = dict(tasks)
        self._optional, self._spare = set(optional), spare
        self._missing = dict.fromkeys(tasks, "not probed yet")
        self._timeout = timeout
        self._probe = probe
        self._clock = clock
        self._start = clock() - waited
        self._report_at = clock() + FIRST_REPORT_AFTER

    @property
    def missing(self) -> dict[str, str]:
        """The tasks that have not answered yet, each with the reason."""
        return dict(self._missing)

    def check(self) -> bool:
        """Probe each missing task once; return whether enough tasks have answered.

        Also log the missing tasks after `FIRST_REPORT_AFTER` seconds, and then every `REPORT_EVERY` seconds.

        Raises:
            GaveUp: the timeout has passed.

        """
        names = list(self._missing)
        if names:
            with ThreadPoolExecutor(max_workers=min(32, len(names))) as pool:
                reasons = pool.map(self._probe, [self._tasks[name] for name in names])
                self._missing = {n: r for n, r in zip(names, reasons, strict=True) if r is not None}
        if not self._missing.keys() - self._optional and len(self._missing) <= self._spare:
            return True
        waited = self._clock() - self._start
        if waited >= self._timeout:
            raise GaveUp(f"gave up after {waited:.0f} s: missing {describe(self._missing)}")
        if self._clock() >= self._report_at:
            self._report_at = self._clock() + REPORT_EVERY
            ready = len(self._tasks) - len(self._missing)
            log.info(
                "waiting for %d of %d tasks (%d ready, %.0f s of %.0f s): missing %s",
                len(self._missing), len(self._tasks), ready, waited, self._timeout, describe(self._missing),
            )  # fmt: skip
        return False

    def wait(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Return when enough tasks have answered.

        Raises:
            GaveUp: the timeout has passed.

        """
        while not self.check():
            sleep(_PROBE_EVERY)


def wait_for_all(barrier: Barrier, address: str | None, sleep: Callable[[float], object]) -> None:
    """Return when enough tasks of `barrier` have answered.

    Args:
        barrier: The tasks to wait for.
        address: This task's own host:port. The function answers the other tasks there while it waits. None: no port.
        sleep: Waits for a number of seconds.

    Raises:
        GaveUp: the timeout of the barrier has passed.

    """
    presence = ReadinessListener(address)
    try:
        barrier.wait(sleep)
    finally:
        presence.close()


def listen(port: int) -> socket.socket:
    """Return a socket that accepts connections at `port`, over IPv6 and IPv4 if the kernel has both."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=128)


class ReadinessListener:
    """Accepts connections on this task's own port until TensorFlow opens the port.

    A task that waits for its peers does not run a TensorFlow server yet. Without this listener, two tasks would wait
    for each other until both time out.
    """

    def __init__(self, address: str | None) -> None:
        self._socket: socket.socket | None = None
        if address is None:
            return
        try:
            self._socket = listen(tf_config.split(address)[1])
        except OSError as error:
            log.info("cannot listen on %s while waiting (%s)", address, error)
            return
        threading.Thread(target=self._accept, args=(self._socket,), name="presence", daemon=True).start()

    @staticmethod
    def _accept(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # `close` closed the socket
                return
            connection.close()

    def close(self) -> None:
        """Close the port, so that TensorFlow can open it."""
        if self._socket is not None:
            # shutdown() ends the accept() of the thread. Otherwise the port stays open.
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
