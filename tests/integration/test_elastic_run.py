"""`tfd run` of an elastic MultiWorkerMirrored job file: the group changes, and one run comes out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.local_run import LocalRun

pytestmark = pytest.mark.processes

JOB = """
strategy: MultiWorkerMirrored
storage: {claim: runs}
worker: {replicas: 2, minReplicas: 1}
trainer: {task: "tests.programs.paced:Paced", steps: 400, batchSize: 33, checkpointEvery: 50}
failure: {rescaleAfter: 15s}
"""


def test_killed_worker_is_replaced_and_the_run_ends_with_one_result(local_run: LocalRun) -> None:
    os.symlink(Path(__file__).resolve().parents[1], local_run.folder / "tests")
    local_run.write(JOB)
    local_run.start()
    local_run.wait_for(lambda: local_run.saved_step() > 0, "a checkpoint")
    assert local_run.status()["workers"] == {"there": 2, "least": 1, "most": 2}
    assert local_run.status()["workerChanges"] == 0
    local_run.kill("worker-0")
    code, out, _ = local_run.finish()
    assert code == 0, local_run.all_logs()
    assert local_run.done()["step"] == 400
    assert local_run.done()["metrics"]["accuracy"] > 0.9
    assert local_run.status()["workerChanges"] >= 2, "a worker was lost and joined"
    assert "worker-0     exited with 137: restarts in" in out
    assert {name: task["state"] for name, task in local_run.tasks().items()} == {
        "worker-0": "succeeded",
        "worker-1": "succeeded",
    }
