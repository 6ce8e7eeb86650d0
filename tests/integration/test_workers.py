"""The workers of a ParameterServer run come, are lost and return one by one."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_run import PATIENCE
from tests.integration.trainers import Trainers
from tests.loopback import free_port
from tfd import records
from trainer.runtime.exit_codes import STOPPED

pytestmark = pytest.mark.processes

STEPS = 1_000_000


class Run:
    """A run with a chief, a ps and three workers, whose tasks the test starts and kills."""

    def __init__(self, folder: Path, **env: str) -> None:
        cluster = {role: [f"127.0.0.1:{free_port()}" for _ in range(n)] for role, n in (("chief", 1), ("ps", 1))}
        cluster["worker"] = [f"127.0.0.1:{free_port()}" for _ in range(3)]
        self.folder = folder
        self.trainers = Trainers("ParameterServer", cluster, folder, **env)
        self.trainers.record["identity"]["trainer"] |= {"steps": STEPS, "checkpointEvery": 10_000}

    def start(self, *tasks: str) -> None:
        for task in tasks:
            with (self.folder / f"{task}.log").open("a") as log:
                self.trainers.start(task, stderr=log)

    def kill(self, *tasks: str) -> None:
        for task in tasks:
            process: subprocess.Popen[str] = self.trainers.processes[task]
            process.kill()
            process.wait()

    def status(self) -> dict[str, Any]:
        return records.read(self.folder / "run" / "status.json")

    def step(self) -> int:
        return int(self.status().get("step") or 0)

    def log(self, task: str = "chief-0") -> str:
        path = self.folder / f"{task}.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} never came:\n{self.log()}"
            assert self.trainers.processes["chief-0"].poll() is None, self.log()
            time.sleep(0.05)

    def trains(self) -> None:
        """Wait until the run does new steps."""
        before = self.step()
        self.wait_for(lambda: self.step() > before + 1, f"a step after {before}")

    def shows(self, text: str) -> None:
        self.wait_for(lambda: text in self.log(), repr(text))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path)
    yield started
    started.trainers.close()


@pytest.fixture
def elastic(tmp_path: Path) -> Iterator[Run]:
    """A run that starts with one worker."""
    started = Run(tmp_path, TRAINER_MIN_WORKERS="1")
    yield started
    started.trainers.close()


def test_first_worker_that_returns_works_while_another_is_absent(run: Run) -> None:
    run.start("chief-0", "ps-0", "worker-0", "worker-1", "worker-2")
    run.trains()
    run.kill("worker-1", "worker-2")
    run.shows("1 of 3 workers")
    run.start("worker-1")
    run.shows("worker-1 joined: 2 of 3 workers")
    run.kill("worker-0")  # nobody but worker 1 can do the next steps
    run.shows("worker-0 is lost: 1 of 3 workers")
    run.trains()
    run.trains()
    assert "in-place restart" not in run.log()


def test_elastic_run_starts_with_one_worker_and_never_stops(elastic: Run) -> None:
    """Worker 2 starts the run, worker 0 joins, worker 2 receives SIGTERM, and later no worker is left for a while."""
    run = elastic
    run.start("chief-0", "ps-0", "worker-2")
    run.trains()
    run.start("worker-0")
    run.shows("worker-0 joined: 2 of 3 workers")
    run.wait_for(
        lambda: run.status().get("workers") == {"there": 2, "least": 1, "most": 3}, "two workers in status.json"
    )
    run.trainers.processes["worker-2"].send_signal(signal.SIGTERM)
    assert run.trainers.processes["worker-2"].wait(PATIENCE) == STOPPED
    run.shows("worker-2 is lost: 1 of 3 workers")
    run.trains()
    run.kill("worker-0")
    run.shows("worker-0 is lost: 0 of 3 workers")
    run.start("worker-1")
    run.shows("worker-1 joined: 1 of 3 workers")
    run.trains()
    assert "in-place restart" not in run.log()
    assert run.log().count("training from step") == 1
    assert run.status()["workerChanges"] == 4


def test_worker_that_hangs_before_the_first_checkpoint_does_not_stop_the_run(elastic: Run) -> None:
    """A graph that the first checkpoint created would wait for the worker, and with it all threads of the chief."""
    run = elastic
    run.trainers.record["identity"]["trainer"] |= {"task": "tests.programs.paced:Paced", "checkpointEvery": 800}
    run.start("chief-0", "ps-0", "worker-0", "worker-1")
    run.shows("training from step 0")
    run.trains()
    hangs = run.trainers.processes["worker-1"]
    hangs.send_signal(signal.SIGSTOP)
    assert "saved checkpoint" not in run.log()
    run.shows("saved checkpoint 800")
    hangs.send_signal(signal.SIGCONT)
    run.shows("worker-1 joined: 2 of 3 workers")
    run.trains()


def test_elastic_run_ends_while_workers_are_absent(elastic: Run) -> None:
    run = elastic
    run.trainers.record["identity"]["trainer"]["steps"] = 50
    run.start("ps-0", "worker-1", "chief-0")
    for task in ("chief-0", "ps-0", "worker-1"):
        assert run.trainers.processes[task].wait(PATIENCE) == 0, run.log()
    assert records.read(run.folder / "run" / "DONE")["step"] == 50
