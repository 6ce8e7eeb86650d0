"""A process beside the chief of a ParameterServer run, which ends the chief when TensorFlow has frozen it.

TensorFlow registers each new function with every server, and holds Python's lock until all have answered. A server that
begins to hang just then stops every thread of the chief, its watch over the servers among them. So the watch sends this
process a byte in each round. When none comes any more and a server takes connections without answering, the chief is
killed: its Job starts it again from the checkpoint, and the start barrier waits for the server.
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

from trainer.peers.probe import SILENT, probe
from trainer.runtime import logs
from trainer.runtime.exit_codes import KILLED
from trainer.storage import termination_log as report

FROZEN_AFTER: Final = 10.0
"""Seconds without a byte; a round of the watch takes four at most."""
_PROBES: Final = 3
"""In a row without an answer until a server counts as hanging: the machine may just be busy."""
_ANSWER_SECONDS: Final = 2.0
_BEATS: Final = 0  # standard input
_ALL_WAITING: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogConfig:
    """What the watchdog process needs to know."""

    task: str
    """Name of the task that it watches, for the log."""
    servers: Mapping[str, str]
    """Task -> address (host:port) of every ps and worker."""
    log_format: str
    termination_log: str | None
    frozen_after: float = FROZEN_AFTER


class Watchdog:
    """The watchdog process, as its chief sees it."""

    def __init__(self, config: WatchdogConfig) -> None:
        """Start the process; it ends with this one."""
        packages = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
        heard, self._beats = os.pipe()
        os.set_blocking(self._beats, False)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trainer.peers.watchdog", json.dumps(asdict(config))],
            stdin=heard,
            env={**os.environ, "PYTHONPATH": path},
        )
        os.close(heard)

    def beat(self) -> None:
        """Say that this process is alive."""
        with contextlib.suppress(OSError):  # training continues without its watchdog
            os.write(self._beats, b".")

    def close(self) -> None:
        """End it. The pipe stays open: another thread may be about to `beat`."""
        self._process.kill()
        self._process.wait()


def watch(config: WatchdogConfig, parent: int) -> None:
    """Return when process `parent` is gone or has closed this one's standard input; kill it if it is frozen."""
    while True:
        if select.select([_BEATS], [], [], config.frozen_after)[0]:
            if not os.read(_BEATS, _ALL_WAITING):
                return
            continue
        silent = [name for name, address in config.servers.items() if _hangs(address)]
        if silent and not select.select([_BEATS], [], [], 0)[0] and not _is_stopped(parent):
            message = f"{silent[0]} hangs: it takes connections but does not answer, and TensorFlow waits for it"
            logs.log.info("exit %d: %s", KILLED, message, extra=logs.fields(exitCode=KILLED))
            report.write(config.termination_log, KILLED, message, {})
            os.kill(parent, signal.SIGKILL)
            return


def _hangs(address: str) -> bool:
    return all(probe(address, _ANSWER_SECONDS) == SILENT for _ in range(_PROBES))


def _is_stopped(pid: int) -> bool:
    """Say whether process `pid` hangs itself (SIGSTOP): then it will go on where it was."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def main() -> None:
    """Watch the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = WatchdogConfig(**json.loads(sys.argv[1]))
    logs.configure(config.task, config.log_format)
    watch(config, os.getppid())


if __name__ == "__main__":
    main()
