"""Kill each task of each strategy half-way: the run continues from its checkpoint and ends at the exact step."""

import re

import pytest

from tests.integration.local_run import LocalRun

pytestmark = pytest.mark.processes

STEPS = 700
JOB = f"""
strategy: {{strategy}}
trainer: {{{{task: digits, steps: {STEPS}, checkpointEvery: 50, summaryEvery: 50}}}}
storage: {{{{claim: runs}}}}
"""


def starts(run: LocalRun, task: str) -> list[int]:
    """The steps at which `task` started or resumed training."""
    return [int(step) for step in re.findall(r"training from step (\d+) to", run.log(task))]


def kill_after_a_new_checkpoint(run: LocalRun, task: str, leader: str) -> int:
    """Kill `task` once the run has saved another checkpoint; return the saved step."""
    before, begun = run.saved_step(), len(starts(run, leader))
    run.wait_for(lambda: run.saved_step() > before and run.status().get("state") == "running", "a new checkpoint")
    saved = run.saved_step()
    run.kill(task)
    if task != leader:
        assert len(starts(run, leader)) == begun
    return saved


def wait_until_it_goes_on(run: LocalRun, leader: str, begun: int, saved: int) -> None:
    """Wait until `leader` trains again, from `saved` or a later checkpoint."""
    run.wait_for(lambda: len(starts(run, leader)) > begun, f"another start of {leader}'s training")
    assert saved <= starts(run, leader)[-1] < STEPS


def assert_done_and_not_again(run: LocalRun, *, overshoot: int = 0) -> None:
    """The run is done at the exact step; the same command then ends in seconds and trains nothing."""
    code, out, err = run.finish()
    assert code == 0, f"{out}\n{err}"
    assert STEPS <= run.done()["step"] <= STEPS + overshoot
    assert run.done()["metrics"]["accuracy"] >= 0.95
    log_sizes = {task: len(run.log(task)) for task in run.tasks()}
    code, out, _ = run.run("--plain")
    assert code == 0
    assert "little was done already: nothing was trained" in out
    for task, size in log_sizes.items():
        assert "training from" not in run.log(task)[size:]


def test_one_device_survives_its_chief(local_run: LocalRun) -> None:
    local_run.write(JOB.format(strategy="OneDevice"))
    local_run.start("--plain")
    saved = kill_after_a_new_checkpoint(local_run, "chief-0", "chief-0")
    wait_until_it_goes_on(local_run, "chief-0", 1, saved)
    assert_done_and_not_again(local_run)
    assert local_run.done()["restarts"] == 1


def test_mirrored_survives_its_chief(local_run: LocalRun) -> None:
    two_replicas = 'env: [{name: TRAINER_LOGICAL_CPUS, value: "2"}]\n'
    local_run.write(JOB.format(strategy="Mirrored") + two_replicas)
    local_run.start("--plain")
    saved = kill_after_a_new_checkpoint(local_run, "chief-0", "chief-0")
    wait_until_it_goes_on(local_run, "chief-0", 1, saved)
    assert "Mirrored with 2 replicas" in local_run.log("chief-0")
    assert_done_and_not_again(local_run)


def test_multi_worker_mirrored_survives_each_worker(local_run: LocalRun) -> None:
    local_run.write(JOB.format(strategy="MultiWorkerMirrored"))
    local_run.start("--plain")
    for begun, worker in enumerate(("worker-0", "worker-1"), start=1):
        saved = kill_after_a_new_checkpoint(local_run, worker, "worker-0")
        for task in ("worker-0", "worker-1"):
            wait_until_it_goes_on(local_run, task, begun, saved)
        assert starts(local_run, "worker-0")[-1] == starts(local_run, "worker-1")[-1]
    assert_done_and_not_again(local_run)


def test_parameter_server_survives_each_role(local_run: LocalRun) -> None:
    local_run.write(JOB.format(strategy="ParameterServer") + "ps: {replicas: 2}\nevaluator: {replicas: 1}\n")
    local_run.start("--plain")
    saved = kill_after_a_new_checkpoint(local_run, "chief-0", "chief-0")
    wait_until_it_goes_on(local_run, "chief-0", 1, saved)
    saved = kill_after_a_new_checkpoint(local_run, "ps-1", "chief-0")
    wait_until_it_goes_on(local_run, "chief-0", 2, saved)
    kill_after_a_new_checkpoint(local_run, "evaluator-0", "chief-0")
    kill_after_a_new_checkpoint(local_run, "worker-1", "chief-0")
    assert_done_and_not_again(local_run, overshoot=1)
    assert len(starts(local_run, "chief-0")) == 3, "a lost worker or evaluator must not stop the training"
    assert f"checkpoint {local_run.done()['step']}: accuracy" in local_run.log("evaluator-0")
    attempts = {name: task["attempts"] for name, task in local_run.tasks().items()}
    assert set(attempts.values()) == {1}, "the second call started each task once"
