"""Trainers as bare processes, for tests that choose the addresses of the cluster themselves."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.unit.trainer.conftest import RECORD


class Trainers:
    """Trainers that share a folder and a cluster, and that a test starts one by one."""

    def __init__(
        self,
        strategy: str,
        cluster: Mapping[str, Sequence[str]],
        folder: Path,
        *,
        enter: Mapping[str, Sequence[str]] | None = None,
        **env: str,
    ) -> None:
        """Write the record of a run of five steps; start nothing yet.

        Args:
            strategy: The strategy of the run.
            cluster: Role -> addresses, also of tasks that are not started.
            folder: The folder of the run; the termination log of a task is TASK.json in it.
            enter: Task -> the words before its command, which start it on another host; absent for this one.
            env: More environment variables.

        """
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.folder, self._cluster, self._enter, self._env = folder, cluster, enter or {}, env
        self.record: dict[str, Any] = copy.deepcopy(RECORD)
        self.record["identity"]["strategy"] = strategy
        self.record["identity"]["trainer"]["steps"] = 5

    def start(self, task: str, stderr: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start `task`, such as `worker-0`."""
        record = self.folder / "record.json"
        if not record.exists():  # a task that starts now may read it
            record.write_text(json.dumps(self.record))
        role, _, index = task.rpartition("-")
        variables = {
            "TF_CONFIG": json.dumps({"cluster": self._cluster, "task": {"type": role, "index": int(index)}}),
            "TRAINER_RECORD": str(record),
            "RUN_DIR": str(self.folder / "run"),
            "TRAINER_START_TIMEOUT": "60",
            "TRAINER_TERMINATION_LOG": str(self.folder / f"{task}.json"),
        }
        command = [*self._enter.get(task, ()), sys.executable, "-m", "trainer"]
        self.processes[task] = subprocess.Popen(
            command, env={**os.environ, **variables, **self._env}, stderr=stderr, text=True
        )
        return self.processes[task]

    def close(self) -> None:
        """Kill all tasks that run, and wait for their end."""
        for process in self.processes.values():
            process.kill()
            process.communicate()


@contextmanager
def started(
    strategy: str, tasks: Sequence[str], cluster: Mapping[str, Sequence[str]], folder: Path, **env: str
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start `tasks` of a cluster, which train five steps into `folder`/run; the arguments are those of `Trainers`."""
    trainers = Trainers(strategy, cluster, folder, **env)
    try:
        for task in tasks:
            trainers.start(task)
        yield trainers.processes
    finally:
        trainers.close()
