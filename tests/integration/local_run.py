"""One `tfd run` in its own folder: tests start it, watch it, disturb it and end it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tfd import records

# The limit of a wait: tests wait for states. TensorFlow takes up to a minute to start six times on two busy cores.
PATIENCE = 240.0


@dataclass
class LocalRun:
    """One `tfd run` of a job file in its own folder."""

    folder: Path
    name: str = "little"
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def state(self) -> Path:
        return self.folder / "runs" / ".tfd" / self.name

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / self.name

    def write(self, text: str) -> Path:
        path = self.folder / "team" / f"{self.name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `tfd run`; `finish` or `wait_for` come next."""
        command = [sys.executable, "-m", "tfd", "run", f"team/{self.name}.yaml", *options]
        self.process = subprocess.Popen(
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        return self.process

    def finish(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, stdout, stderr."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def run(self, *options: str) -> tuple[int, str, str]:
        self.start(*options)
        return self.finish()

    def tasks(self) -> dict[str, dict[str, Any]]:
        try:
            tasks: dict[str, dict[str, Any]] = json.loads((self.state / "tasks.json").read_text())["tasks"]
        except FileNotFoundError:
            return {}
        return tasks

    def status(self) -> dict[str, Any]:
        """The run's status.json; empty before there is one."""
        return records.read(self.run_dir / "status.json")

    def done(self) -> dict[str, Any]:
        return records.read(self.run_dir / "DONE")

    def saved_step(self) -> int:
        """Step of the newest checkpoint in status.json."""
        return int((self.status().get("lastCheckpoint") or {"step": 0})["step"])

    def pid(self, task: str) -> int:
        """Process id of a running task."""
        return int(self.wait_for(lambda: self.tasks().get(task, {}).get("pid"), f"a process of {task}"))

    def kill(self, task: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(task), number)

    def log(self, task: str) -> str:
        path = self.state / f"{self.name}-{task}.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until `condition` is true. After the limit, show the output of the run."""
        assert self.process is not None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := condition():
                return value
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{what} never started; tasks: {self.tasks()}; logs:\n{self.all_logs()}")

    def all_logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self.state.glob("*.log")))

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
            for task in self.tasks().values():
                if task["pid"]:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(task["pid"], signal.SIGKILL)
        if self.process is not None:
            self.process.communicate()  # closes the pipes of a run that ended while the test waited for something else


@pytest.fixture
def local_run(tmp_path: Path) -> Iterator[LocalRun]:
    """A run in its own folder. Its processes end with the test."""
    run = LocalRun(tmp_path)
    yield run
    run.close()


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
