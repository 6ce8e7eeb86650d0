"""The lease on a run directory: one chief (or worker 0) at a time writes to it.

The holder writes lease.json anew every two seconds. Another chief that finds it looks on for a while: if the file keeps
changing, somebody is at work and the newcomer is refused; if it does not, its holder is gone and the newcomer takes
over. No clock of another machine, no file lock and no rename is needed, so it works on a volume, on NFS and on gs://
alike. Before each checkpoint the holder makes sure that the lease is still its own: it may itself have hung for so long
that another one took over.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trainer.runtime.errors import ConfigError, LostLease
from trainer.runtime.logs import log
from trainer.storage import files

BEAT_EVERY: Final = 2.0
STALE_AFTER: Final = 10.0
_LOOK_EVERY: Final = 0.5


def new_token() -> str:
    """Return a name for one holder; a restart in place keeps it."""
    return uuid.uuid4().hex[:12]


@dataclass(slots=True, kw_only=True)
class Lease:
    """The lease on one run directory, held by this process or not."""

    path: str
    """Of lease.json."""
    token: str
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic

    _beat: int = 0
    _lock: threading.Lock = None  # type: ignore[assignment]
    _stop: threading.Event = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self._lock, self._stop = threading.Lock(), threading.Event()

    def take(self) -> None:
        """Take the lease, after its former holder has been seen to be gone.

        Raises:
            ConfigError: another chief is at work in this directory.

        """
        text = files.read_text(self.path)
        holder = _parse(text)
        if holder and holder.get("token") != self.token and not _died_here(holder):
            self._look_on(text, holder)
        self._write()

    def _look_on(self, text: str | None, holder: dict[str, Any]) -> None:
        who = f"{holder.get('host')}, process {holder.get('pid')}"
        log.info("the run directory was in use by %s: looking on for %.0f s", who, STALE_AFTER)
        until = self.clock() + STALE_AFTER
        while self.clock() < until:
            self.sleep(_LOOK_EVERY)
            now = files.read_text(self.path)
            if _parse(now) is None:  # given back, or being written at this moment
                if not (now or "").strip():
                    return
            elif now != text:
                raise ConfigError(
                    f"RUN_DIR: got {self.path.rpartition('/')[0]!r}: another chief ({who}) is training there: one run "
                    "directory takes one chief: delete one of the two runs, or give it another name"
                )
        log.info("its holder is gone: taking over")

    def start(self, lost: Callable[[LostLease], None], every: float = BEAT_EVERY) -> None:
        """Renew the lease again and again in a thread; call `lost` when another one has taken over."""

        def beat() -> None:
            while not self._stop.wait(every):
                try:
                    self.check()
                    self._write()
                except LostLease as error:
                    if not self._stop.is_set():
                        lost(error)
                    return
                except Exception as error:  # noqa: BLE001, RUF100 - a storage that fails now and then, gfile's own errors
                    log.info("can't renew %s: %s", self.path, str(error).partition("\n")[0])

        threading.Thread(target=beat, name="lease", daemon=True).start()

    def check(self) -> None:
        """Make sure that nobody else has taken over.

        Raises:
            LostLease: somebody has.

        """
        holder = _parse(files.read_text(self.path))
        if holder and holder.get("token") != self.token:
            who = f"{holder.get('host')}, process {holder.get('pid')}"
            raise LostLease(f"another chief ({who}) has taken over {self.path.rpartition('/')[0]}")

    def give_back(self) -> None:
        """Give the lease back, so that the next chief need not look on; without an error if that fails."""
        self._stop.set()
        with self._lock:
            try:
                self.check()
                files.overwrite_text(self.path, "\n")
            except Exception as error:  # noqa: BLE001, RUF100 - the process ends anyway
                log.info("can't give %s back: %s", self.path, str(error).partition("\n")[0])

    def pause(self) -> None:
        """Renew it no more, but keep it: this process executes itself anew."""
        self._stop.set()

    def _write(self) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            self._beat += 1
            content = {
                "token": self.token, "host": socket.gethostname(), "pid": os.getpid(),
                "birth": _birth(os.getpid()), "space": _space(), "beat": self._beat,
            }  # fmt: skip
            files.overwrite_text(self.path, json.dumps(content) + "\n")


def _parse(text: str | None) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _died_here(holder: dict[str, Any]) -> bool:
    """Say whether the holder was a process of this very machine and container, and is no more."""
    if holder.get("space") != _space():
        return False
    return _birth(int(holder.get("pid") or 0)) != holder.get("birth")


def _birth(pid: int) -> str | None:
    """Return when process `pid` was started, in the kernel's own count; None when there is none, or only its rest."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _space() -> str:
    """Return what tells this machine (until its next boot) and this container from all others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid.uuid4().hex
