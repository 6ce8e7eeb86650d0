"""Tasks of public bug reports, as jobs of two workers. tests/bug_reports has the tasks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.integration.local_run import LocalRun

pytestmark = pytest.mark.processes

TASKS = Path(__file__).parents[1] / "bug_reports"


@pytest.fixture
def two_workers(local_run: LocalRun, monkeypatch: pytest.MonkeyPatch) -> LocalRun:
    for task in ("uneven.py", "plain.py"):
        shutil.copy(TASKS / task, local_run.folder)
    monkeypatch.setenv("PYTHONPATH", str(local_run.folder))
    return local_run


def job(task: str, settings: str) -> str:
    return (
        f'strategy: MultiWorkerMirrored\ntrainer: {{task: "{task}", {settings}}}\n'
        "worker: {replicas: 2}\nstorage: {claim: runs}\n"
    )


def test_shares_that_end_are_refused_before_the_first_step(two_workers: LocalRun) -> None:
    two_workers.write(job("uneven:Uneven", "steps: 50, batchSize: 16, checkpointEvery: 50, summaryEvery: 10"))
    code, out, err = two_workers.run("--plain")
    assert code == 1, out + err
    status = two_workers.status()
    assert (status["state"], status["exitCode"], status["step"]) == ("failed", 1, 0)
    # Worker 0 may receive the error of worker 1 before it reads its own data.
    refusal = r"got a dataset of (60|20) batches; expected an endless dataset\. Use repeat\(\) before batch\(\)\."
    for text in (status["message"], two_workers.log("worker-0"), two_workers.log("worker-1")):
        assert re.search(refusal, text), text
        assert "step 1/" not in text


@pytest.mark.slow
def test_half_precision_trains_thousands_of_steps_with_two_workers(two_workers: LocalRun) -> None:
    settings = "steps: 3000, precision: mixed_float16, batchSize: 32, checkpointEvery: 1000"
    two_workers.write(job("plain:Plain", settings))
    code, out, err = two_workers.run("--plain")
    assert code == 0, out + err
    assert two_workers.done()["step"] == 3000
    status = two_workers.status()
    assert 0.9 < status["loss"] < 1.5, "the noise of the labels is 1"
    assert status["lossIsNotANumber"] is False
