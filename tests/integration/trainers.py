"""Trainers as bare processes, for tests that choose the addresses of the cluster themselves."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.unit.trainer.conftest import RECORD


@contextmanager
def started(
    strategy: str, tasks: Sequence[str], cluster: Mapping[str, Sequence[str]], folder: Path, **env: str
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start `tasks` of a cluster, which train five steps into `folder`/run.

    Args:
        strategy: The strategy of the run.
        tasks: The tasks to start, such as `worker-0`.
        cluster: Role -> addresses, also of tasks that are not started.
        folder: The folder of the run; the termination log of a task is TASK.json in it.
        env: More environment variables.

    """
    record = copy.deepcopy(RECORD)
    record["identity"]["strategy"] = strategy
    record["identity"]["trainer"]["steps"] = 5
    (folder / "record.json").write_text(json.dumps(record))
    with ExitStack() as running:
        processes: dict[str, subprocess.Popen[str]] = {}
        for task in tasks:
            role, _, index = task.rpartition("-")
            variables = {
                "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": int(index)}}),
                "TRAINER_RECORD": str(folder / "record.json"),
                "RUN_DIR": str(folder / "run"),
                "TRAINER_START_TIMEOUT": "60",
                "TRAINER_TERMINATION_LOG": str(folder / f"{task}.json"),
            }
            command = [sys.executable, "-m", "trainer"]
            all_variables = {**os.environ, **variables, **env}
            process = subprocess.Popen(command, env=all_variables, stderr=subprocess.PIPE, text=True)
            processes[task] = running.enter_context(process)
        running.callback(lambda: [each.kill() for each in processes.values()])
        yield processes
