"""The tasks of one elastic run as processes, each of them on a host of its own.

A task that ends starts again, as the Job of a run starts a pod again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from tests.integration.trainers import Trainers
from tests.network import Network, network
from tfd import records
from trainer.runtime.exit_codes import EXIT_CODES

ROLES = {"MultiWorkerMirrored": {"worker": 3}, "ParameterServer": {"chief": 1, "ps": 2, "worker": 3}}
PORT = 2222
PATIENCE = 600.0
"""The limit of a wait in seconds: tests wait for states."""
_LOOK_EVERY = 0.05
_CODES = {each.code for each in EXIT_CODES if each.retried}
RETRIED = frozenset({*_CODES, *(128 - code for code in _CODES if code > 128)})
"""The codes after which a Job starts a task again, and the numbers of Popen for those of a signal."""
ENV = {
    "TRAINER_MIN_WORKERS": "1",
    "TRAINER_RESCALE_AFTER": "5",
    "TRAINER_START_TIMEOUT": "1800",
    "TRAINER_GRACE_PERIOD": "30",
    "TRAINER_LOG_FORMAT": "json",
}


class SoakError(Exception):
    """A run has not reached a state."""


@dataclass(slots=True, kw_only=True)
class TaskProcess:
    """One process of a task: a pod of the Job. An in-place restart keeps the process."""

    task: str
    popen: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def lines(self) -> list[tuple[float, str]]:
        """Return time and message of each line that the trainer logged."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                content = json.loads(line) if line.startswith("{") else None
            except ValueError:  # a killed process may end within a line
                continue
            if isinstance(content, dict) and "message" in content:
                found.append((datetime.fromisoformat(content["time"]).timestamp(), str(content["message"])))
        return found


class Tasks:
    """The tasks of one run."""

    def __init__(self, strategy: str, folder: Path, steps: int, net: Network) -> None:
        """Start nothing yet; the run has `steps` steps."""
        self.folder, self.network, self.steps, self.strategy = folder, net, steps, strategy
        self.names = names(strategy)
        self.workers = [name for name in self.names if name.startswith("worker-")]
        self.live: dict[str, TaskProcess] = {}
        self.processes: list[TaskProcess] = []
        """All processes so far, in the order of their starts."""
        self.resumed: list[tuple[float, int]] = []
        """(time, process ID) of each end of a hang."""
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        cluster = {
            role: [f"{net.address(f'{role}-{index}')}:{PORT}" for index in range(count)]
            for role, count in ROLES[strategy].items()
        }
        enter = {name: net.enter(name) for name in self.names}
        env = ENV | {"TMPDIR": str(self.temporary)}
        self._trainers = Trainers(strategy, cluster, folder, enter=enter, **env)
        self._trainers.record["identity"]["trainer"] |= {
            "task": "tests.programs.paced:Paced",
            "steps": steps,
            "checkpointEvery": 50,
            "summaryEvery": 50,
            "batchSize": 64,
        }
        self._files: list[TextIO] = []

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def start(self, *tasks: str) -> None:
        """Start tasks."""
        for task in tasks:
            path = self.folder / f"{task}.{len(self.processes)}.log"
            log = path.open("w")
            self._files.append(log)
            process = TaskProcess(task=task, popen=self._trainers.start(task, stderr=log), log=path)
            self.live[task] = process
            self.processes.append(process)

    def kill(self, task: str) -> None:
        """Kill a task, which stays absent."""
        process = self.live.pop(task)
        process.popen.kill()
        process.popen.wait()

    def signal(self, task: str, which: signal.Signals) -> None:
        """Send a signal to a task."""
        self.live[task].popen.send_signal(which)

    def resume(self, task: str) -> None:
        """End the hang of a task, if nobody has killed it."""
        if process := self.live.get(task):
            process.popen.send_signal(signal.SIGCONT)
            self.resumed.append((time.time(), process.pid))

    def replace_ended(self) -> None:
        """Start the tasks again that ended with a code that is retried."""
        for task, process in list(self.live.items()):
            code = process.popen.poll()
            if code is not None:
                del self.live[task]
                if code in RETRIED and not self.done():
                    self.start(task)

    def wait_for(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Return the first true result of `condition`; start the tasks again that end meanwhile."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if value := condition():
                return value
            self.replace_ended()
            time.sleep(_LOOK_EVERY)
        raise SoakError(f"not reached within {patience:.0f} s: {what}")

    def stop(self) -> None:
        """Send SIGTERM to all tasks, as the deletion of a run does, and wait for their end."""
        for process in self.live.values():
            process.popen.terminate()
        for process in self.live.values():
            process.popen.wait(PATIENCE)
        self.live.clear()

    def status(self) -> dict[str, Any]:
        """Return status.json."""
        return records.read(self.run_dir / "status.json")

    def done(self) -> dict[str, Any]:
        """Return DONE."""
        return records.read(self.run_dir / "DONE")

    def close(self) -> None:
        """Kill the tasks that still run."""
        for process in self.live.values():
            process.popen.kill()
            process.popen.wait()
        for each in self._files:
            each.close()


def names(strategy: str) -> list[str]:
    """Return the names of all tasks of a run with `strategy`."""
    return [f"{role}-{index}" for role, count in ROLES[strategy].items() for index in range(count)]


@contextmanager
def tasks_of(strategy: str, folder: Path, steps: int) -> Iterator[Tasks]:
    """Return the tasks of a run in a network of its own; both end with the block."""
    with network(names(strategy)) as net:
        made = Tasks(strategy, folder, steps, net)
        try:
            yield made
        finally:
            made.close()
