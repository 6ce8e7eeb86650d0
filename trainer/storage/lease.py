"""The lease on a run directory: one chief (or worker 0) at a time writes to it.

The holder rewrites lease.json every two seconds. A new chief watches an existing lease for `stale_after` seconds. If
its heartbeat advances, the lease is live and the trainer refuses the new chief. If not, the new chief takes over. The
lease depends neither on clocks of other machines nor on file locks and renames, so it works on volumes, NFS and gs://.
Before each checkpoint the holder checks its lease, because another chief may have taken over while it was blocked.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from trainer.runtime.errors import ConfigError, LostLease, Words
from trainer.runtime.logs import log
from trainer.storage import files, records

BEAT_EVERY: Final = 2.0
_LOOK_EVERY: Final = 0.5


def new_token() -> str:
    """Return a unique name for a lease holder. A process keeps its token across in-place restarts."""
    return uuid.uuid4().hex[:12]


@dataclass(slots=True, kw_only=True)
class Lease:
    """The lease on one run directory, which this process may or may not hold."""

    path: str
    """Path of lease.json."""
    token: str
    """Unique name of this holder, from `new_token`."""
    stale_after: float
    """Seconds without a heartbeat after which the lease of another chief counts as stale."""
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic

    # A holder that restarts in place must not repeat a value, which would look like a lease without a renewal.
    _beat: int = field(default_factory=lambda: secrets.randbits(31))
    _lock: threading.Lock = None  # type: ignore[assignment]
    _stop: threading.Event = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self._lock, self._stop = threading.Lock(), threading.Event()

    def take(self) -> None:
        """Take the lease. If another holder exists, first watch its heartbeat for `stale_after` seconds.

        Raises:
            ConfigError: the heartbeat advanced, so another chief is active in this run directory.

        """
        text = files.read_text(self.path)
        holder = _parse(text)
        if holder and holder.get("token") != self.token:
            self._watch_holder(text, holder)
        self._write()

    def _watch_holder(self, text: str | None, holder: dict[str, Any]) -> None:
        who = f"{holder.get('host')}, process {holder.get('pid')}"
        log.info("lease of another chief (%s) found: watching its heartbeat for %.0f s", who, self.stale_after)
        until = self.clock() + self.stale_after
        while self.clock() < until:
            self.sleep(_LOOK_EVERY)
            now = files.read_text(self.path)
            if _parse(now) is None:  # The holder released the lease, or writes it at this moment.
                if not (now or "").strip():
                    return
            elif now != text:
                raise ConfigError(
                    "RUN_DIR",
                    got=Words(f"{self.path.rpartition('/')[0]!r}, where another chief ({who}) is active"),
                    expected="a run directory with one chief",
                    fix="Delete one of the two runs, or give one another name",
                )
        log.info("the lease is stale: taking over")

    def start(self, lost: Callable[[LostLease], None], every: float = BEAT_EVERY, limit: float = math.inf) -> None:
        """Renew the lease in a background thread.

        Args:
            lost: Called when another chief took over, or when the renewal failed for `limit` seconds.
            every: Seconds between two renewals.
            limit: Another chief may take the lease of this one without its knowledge after this time.

        """

        def beat() -> None:
            renewed = self.clock()
            while not self._stop.wait(every):
                try:
                    self.check()
                    self._write()
                    renewed = self.clock()
                except LostLease as error:
                    if not self._stop.is_set():
                        lost(error)
                    return
                except Exception as error:  # noqa: BLE001, RUF100 - gfile has its own classes
                    log.info("cannot renew %s: %s", self.path, str(error).partition("\n")[0])
                    if self.clock() - renewed >= limit:
                        lost(LostLease(f"cannot renew {self.path} for {limit:.0f} s"))
                        return

        threading.Thread(target=beat, name="lease", daemon=True).start()

    def check(self) -> None:
        """Check that no other chief has taken over the lease.

        Raises:
            LostLease: another chief has taken over.

        """
        holder = _parse(files.read_text(self.path))
        if holder and holder.get("token") != self.token:
            who = f"{holder.get('host')}, process {holder.get('pid')}"
            raise LostLease(f"another chief ({who}) took over {self.path.rpartition('/')[0]}")

    def give_back(self) -> None:
        """Release the lease, so that the next chief can take it without a wait. Errors are only logged."""
        self._stop.set()
        with self._lock:
            try:
                self.check()
                files.overwrite_text(self.path, "\n")
            except Exception as error:  # noqa: BLE001, RUF100 - the process ends next
                log.info("cannot release %s: %s", self.path, str(error).partition("\n")[0])

    def renew(self) -> None:
        """Write the lease as its holder, without a look at another one."""
        self._write()

    def pause(self) -> None:
        """Stop the renewal but keep the lease, because an in-place restart follows."""
        self._stop.set()

    def _write(self) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            self._beat += 1
            content = {"token": self.token, "host": socket.gethostname(), "pid": os.getpid(), "beat": self._beat}
            files.overwrite_text(self.path, json.dumps(content) + "\n")


def holder_of(text: str | None) -> str:
    """Return the token in the content `text` of a lease file; empty if it is not readable."""
    return str((_parse(text) or {}).get("token") or "")


def _parse(text: str | None) -> dict[str, Any] | None:
    return records.parse(text or "", records.LEASE)
