"""Workers of an elastic run as bare processes, which the test starts, kills and starts again as a Job would."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from tests.integration.local_run import PATIENCE
from tests.loopback import free_port
from tests.soak.tasks import RETRIED
from tests.unit.trainer.conftest import RECORD
from tfd import records


class ElasticGroup:
    """The workers of one run."""

    def __init__(self, folder: Path, *, most: int, trainer: dict[str, Any], **env: str) -> None:
        self.folder, self.most, self._env = folder, most, env
        self._cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(most)]}
        record = copy.deepcopy(RECORD)
        record["identity"]["strategy"] = "MultiWorkerMirrored"
        record["identity"]["trainer"].update(trainer)
        (folder / "record.json").write_text(json.dumps(record))
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.codes: list[tuple[int, int]] = []
        """(number, exit code) of each process that has ended."""
        self._files: list[TextIO] = []

    def start(self, *numbers: int) -> None:
        """Start workers."""
        for number in numbers:
            task = {"type": "worker", "index": number}
            variables = {
                "TF_CONFIG": json.dumps({"cluster": self._cluster, "task": task}),
                "TRAINER_RECORD": str(self.folder / "record.json"),
                "RUN_DIR": str(self.folder / "run"),
                "TRAINER_TERMINATION_LOG": str(self.folder / f"worker-{number}.json"),
                **self._env,
            }
            log = (self.folder / f"worker-{number}.log").open("a")
            self._files.append(log)
            self.processes[number] = subprocess.Popen(
                [sys.executable, "-m", "trainer"], env={**os.environ, **variables}, stderr=log, stdout=log, text=True
            )

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a worker."""
        self.processes[number].send_signal(which)

    def kill(self, number: int) -> None:
        """Kill a worker, which stays away."""
        process = self.processes.pop(number)
        process.kill()
        process.wait()

    def wait_for(self, condition: Callable[[], Any], what: str, patience: float = 2 * PATIENCE) -> Any:
        """Wait until `condition` is true; start the workers again that end with a code that is retried."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if value := condition():
                return value
            self._replace_ended()
            time.sleep(0.1)
        raise AssertionError(f"not reached: {what}; exit codes {self.codes}\n{self.logs()}")

    def _replace_ended(self) -> None:
        for number, process in list(self.processes.items()):
            if process.poll() is not None:
                self.codes.append((number, process.returncode))
                del self.processes[number]
                if process.returncode in RETRIED:
                    self.start(number)

    def finish(self) -> None:
        """Wait until all workers have ended with a code that is not retried."""
        self.wait_for(lambda: not self.processes, "the end of all workers")

    def log(self, number: int) -> str:
        """Return the log of a worker, of all its processes."""
        path = self.folder / f"worker-{number}.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> str:
        """Return the lines of the trainer in all logs."""
        return "\n".join(
            f"== worker-{n}\n" + "\n".join(re.findall(r"^\d\d:\d\d:\d\d .*", self.log(n), re.MULTILINE))
            for n in range(self.most)
        )

    def status(self) -> dict[str, Any]:
        """Return status.json."""
        return records.read(self.folder / "run" / "status.json")

    def done(self) -> dict[str, Any]:
        """Return DONE."""
        return records.read(self.folder / "run" / "DONE")

    def leader(self) -> int:
        """Return the number of the worker that leads the group."""
        return int(records.read(self.folder / "run" / "members.json")["leader"])

    def trains_with(self, *numbers: int, times: int = 1) -> None:
        """Wait until the group `numbers` has formed `times` times and has trained a step."""
        names = ", ".join(f"worker-{number}" for number in numbers)
        text = f"starting with {len(numbers)} of {self.most} workers: {names}"
        self.wait_for(lambda: all(self.log(n).count(text) >= times for n in numbers), text)
        self.wait_for(
            lambda: all("training from step" in self.log(n).rpartition(text)[2] for n in numbers), f"training, {text}"
        )

    def saved_after(self, step: int) -> int:
        """Wait for a checkpoint after `step`; return its step."""

        def saved() -> int:
            return int((self.status().get("lastCheckpoint") or {"step": 0})["step"])

        self.wait_for(lambda: saved() > step, f"a checkpoint after step {step}")
        return saved()

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        for each in self._files:
            each.close()


@contextmanager
def elastic_group(folder: Path, *, most: int, trainer: dict[str, Any], **env: str) -> Iterator[ElasticGroup]:
    """Return a group whose processes end with the block."""
    group = ElasticGroup(folder, most=most, trainer=trainer, **env)
    try:
        yield group
    finally:
        group.close()
