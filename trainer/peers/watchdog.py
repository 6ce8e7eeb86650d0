"""A separate process that kills the chief of a ParameterServer run when TensorFlow blocks the chief.

TensorFlow registers each new function with every server, and holds Python's global interpreter lock until all servers
have answered. A server that becomes unresponsive at that moment blocks every thread of the chief, including the health
monitor. Therefore the health monitor writes one byte to the watchdog process in each round. When no byte arrives and a
server accepts connections without answering, the watchdog kills the chief. The Kubernetes Job then starts the chief
again from the checkpoint, and the start barrier waits for the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from trainer.peers.probe import is_silent, probe
from trainer.runtime import logs
from trainer.runtime.exit_codes import KILLED
from trainer.storage import termination_log as report

FROZEN_AFTER: Final = 10.0
"""Seconds without a byte after which the chief counts as frozen. A round of the health monitor takes at most four."""
_PROBES: Final = 3
"""Consecutive probes without an answer after which a server is unresponsive. One may fail on a busy machine."""
_ANSWER_SECONDS: Final = 2.0
_BEATS: Final = 0  # standard input
_ALL_WAITING: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogConfig:
    """The settings of the watchdog process."""

    task: str
    """Name of the watched task, for the log."""
    servers: Mapping[str, str]
    """Task -> address (host:port) of every ps and worker."""
    log_format: str
    """`text` or `json`."""
    termination_log: str | None
    """File for the one-line result; None: no file."""
    frozen_after: float = FROZEN_AFTER
    """Seconds without a byte after which the watched task counts as frozen."""


class Watchdog:
    """The chief's handle of its watchdog process."""

    def __init__(self, config: WatchdogConfig) -> None:
        """Start the watchdog process. It ends when the current process ends."""
        packages = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
        reader, self._beats = os.pipe()
        os.set_blocking(self._beats, False)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trainer.peers.watchdog", json.dumps(asdict(config))],
            stdin=reader,
            env={**os.environ, "PYTHONPATH": path},
        )
        os.close(reader)

    def beat(self) -> None:
        """Write one byte to the watchdog: this process is not frozen."""
        with contextlib.suppress(OSError):  # Training continues if the watchdog has exited.
            os.write(self._beats, b".")

    def close(self) -> None:
        """Kill the watchdog process. The pipe stays open, because another thread may call `beat` at the same time."""
        self._process.kill()
        self._process.wait()


def watch(config: WatchdogConfig, parent: int) -> None:
    """Kill the process `parent` if it is frozen; return after that, or when `parent` has closed standard input."""
    while True:
        if select.select([_BEATS], [], [], config.frozen_after)[0]:
            if not os.read(_BEATS, _ALL_WAITING):
                return
            continue
        silent = [name for name, address in config.servers.items() if _is_unresponsive(address)]
        if silent and not select.select([_BEATS], [], [], 0)[0] and not _is_stopped(parent):
            message = f"{silent[0]} is unresponsive: it does not answer, and TensorFlow waits for it"
            logs.log.info("exit %d: %s", KILLED, message, extra=logs.fields(exitCode=KILLED))
            report.write(config.termination_log, KILLED, message, {})
            os.kill(parent, signal.SIGKILL)
            return


def _is_unresponsive(address: str) -> bool:
    return all(is_silent(probe(address, _ANSWER_SECONDS)) for _ in range(_PROBES))


def _is_stopped(pid: int) -> bool:
    """Return whether the process `pid` itself received SIGSTOP. Such a process may resume later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def main() -> None:
    """Watch the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = WatchdogConfig(**json.loads(sys.argv[1]))
    logs.configure(config.task, config.log_format)
    watch(config, os.getppid())


if __name__ == "__main__":
    main()
