"""A process that hangs (SIGSTOP, like a node that hangs) is found, and neither its end nor its return does harm."""

import time

import pytest

from tests.integration.conftest import Recovered
from tests.integration.faults import ends_well, hanging, job, log_shows, resumes_training, starts, step_after, trains
from tests.integration.local_run import LocalRun

pytestmark = pytest.mark.processes


def test_parameter_server_run_survives_each_hanging_role(local_run: LocalRun, recovered: Recovered) -> None:
    steps = 900
    local_run.write(job("ParameterServer", steps, evaluator="{replicas: 1}"))
    local_run.start("--plain")
    trains(local_run)

    with hanging(local_run, "worker-1"):
        began = time.monotonic()
        log_shows(local_run, "chief-0", "worker-1 is unresponsive")
        recovered("worker", "hang", step_after(local_run, local_run.status()["step"]) - began)
        trains(local_run, saved=local_run.saved_step())  # checkpoints need no worker either
    log_shows(local_run, "chief-0", "worker-1 answers again")
    assert len(starts(local_run, "chief-0")) == 1, "a worker that hangs must not stop the training"

    saved = local_run.saved_step()
    with hanging(local_run, "ps-0"):
        began = time.monotonic()
        log_shows(local_run, "chief-0", "ps-0 is unresponsive")
        log_shows(local_run, "chief-0", "missing ps-0 (no answer)")
    back = time.monotonic()
    recovered("ps", "hang", resumes_training(local_run, "chief-0", 1) - back)
    assert starts(local_run, "chief-0")[1] >= saved
    trains(local_run, saved=local_run.saved_step())

    with hanging(local_run, "evaluator-0"), hanging(local_run, "chief-0"):
        for server in ("ps-0", "worker-0", "worker-1"):
            log_shows(local_run, server, "the chief is unreachable (no answer)")
    back = time.monotonic()
    recovered("chief", "hang", step_after(local_run, local_run.status()["step"]) - back)
    ends_well(local_run, steps, overshoot=2)
    assert len(starts(local_run, "chief-0")) == 2, "a chief that hung continues where it was"
    assert f"checkpoint {local_run.done()['step']}: accuracy" in local_run.log("evaluator-0")


@pytest.mark.parametrize(
    ("worker", "other", "killed"),
    [
        ("worker-1", "worker-0", True),
        pytest.param("worker-0", "worker-1", False, marks=pytest.mark.slow),
        pytest.param("worker-0", "worker-1", True, marks=pytest.mark.slow),
        pytest.param("worker-1", "worker-0", False, marks=pytest.mark.slow),
    ],
)
def test_multi_worker_mirrored_run_survives_a_hanging_worker(
    local_run: LocalRun, recovered: Recovered, worker: str, other: str, killed: bool
) -> None:
    steps = 700
    local_run.write(job("MultiWorkerMirrored", steps))
    local_run.start("--plain")
    trains(local_run)
    saved = local_run.saved_step()
    with hanging(local_run, worker):
        began = time.monotonic()
        recovered(worker, "hang-found", log_shows(local_run, other, "in-place restart") - began)
        log_shows(local_run, other, f"missing {worker} (no answer)")
        if killed:
            local_run.kill(worker)
    back = time.monotonic()
    for task in (worker, other):
        resumes_training(local_run, task, 1)
    recovered(worker, f"hang-then-{'killed' if killed else 'back'}", time.monotonic() - back)
    assert saved <= starts(local_run, worker)[-1] == starts(local_run, other)[-1]
    ends_well(local_run, steps)


def test_missing_peer_is_named_and_the_run_ends_with_76(local_run: LocalRun) -> None:
    local_run.write(job("MultiWorkerMirrored", 100, failure="{startTimeout: 20s}"))
    local_run.start("--plain")
    with hanging(local_run, "worker-1"):
        log_shows(local_run, "worker-0", "missing worker-1 (connection refused)")
        log_shows(local_run, "worker-0", "exit 76")
    code, out, _ = local_run.finish()
    assert code == 76
    assert "gave up after 20 s: missing worker-1" in out
