"""Custom programs under ParameterServer, in real processes: the run ends with its leader, and trains once."""

import json
import re
from importlib.util import find_spec
from typing import Any

import pytest

from tests.integration.local_run import LocalRun
from tests.programs import fit, job, text

pytestmark = pytest.mark.processes

SECONDS = 5.0
"""The longest time between the end of the leader and that of another task."""
TASKS = ("ps-0", "ps-1", "worker-0", "worker-1")


def times_trained(run: LocalRun) -> int:
    """Return how often a leader began to train."""
    return run.run_dir.with_suffix(".trained").read_text().count("once")


def result(run: LocalRun) -> dict[str, Any]:
    """Run a job file to its end and return the report, whose tasks have all ended with 0 soon after the leader."""
    code, out, err = run.run("--json")
    assert code == 0, f"{err}\n{run.all_logs()}"
    report: dict[str, Any] = json.loads(out)
    assert {task["exitCode"] for task in report["tasks"].values()} == {0}
    assert all(task["secondsAfterLeader"] <= SECONDS for task in report["tasks"].values()), report["tasks"]
    return report


def trains_once(run: LocalRun, *, chief: bool) -> None:
    """The run trains, and the same file trains nothing afterwards."""
    first = result(run)
    assert set(first["tasks"]) == {*TASKS, *(["chief-0"] if chief else [])}
    assert not first["alreadyDone"]
    logs = run.all_logs()
    second = result(run)
    assert second["alreadyDone"]
    new = run.all_logs().replace(logs, "")
    assert new.count("the run was done already") == len(second["tasks"])
    assert times_trained(run) == 1


@pytest.mark.parametrize(
    ("program", "chief"),
    [
        pytest.param("shell", True, id="shell-chief"),
        pytest.param("shell", False, id="shell-worker"),
        pytest.param("every_task", True, id="every_task-chief"),
        pytest.param("every_task", False, id="every_task-worker", marks=pytest.mark.slow),
    ],
)
def test_program_of_every_task_ends_with_its_leader_and_trains_once(
    local_run: LocalRun, program: str, chief: bool
) -> None:
    local_run.write(text(job(program, chief=chief)))
    trains_once(local_run, chief=chief)


def test_program_with_a_coordinator_ends_with_it_and_trains_once(local_run: LocalRun) -> None:
    local_run.write(text(job("coordinator")))
    trains_once(local_run, chief=True)
    assert "the total is 100.0" in local_run.log("chief-0")


@pytest.mark.parametrize("task", ["worker-1", "ps-0", "chief-0"])
def test_killed_task_of_a_shell_program_is_replaced(local_run: LocalRun, task: str) -> None:
    local_run.write(text(job("shell")))
    local_run.start("--json")
    for each in ("chief-0", *TASKS):
        local_run.pid(each)
    local_run.wait_for(local_run.run_dir.with_suffix(".trained").exists, "the training")
    local_run.kill(task)
    code, out, err = local_run.finish()
    assert code == 0, f"{err}\n{local_run.all_logs()}"
    report = json.loads(out)
    attempts = {name: each["attempts"] for name, each in report["tasks"].items()}
    assert attempts == dict.fromkeys(attempts, 1) | {task: 2}
    assert {each["exitCode"] for each in report["tasks"].values()} == {0}
    assert times_trained(local_run) == (2 if task == "chief-0" else 1)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tf_keras") is None, reason="needs `pip install --no-deps tf_keras`")
def test_fit_of_keras_survives_a_killed_worker(local_run: LocalRun) -> None:
    local_run.write(text(fit()))
    local_run.start("--json")
    local_run.wait_for(lambda: "epoch 3" in local_run.log("worker-1"), "the training")
    local_run.kill("worker-1")
    code, out, err = local_run.finish()
    assert code == 0, f"{err}\n{local_run.all_logs()}"
    assert json.loads(out)["tasks"]["worker-1"]["attempts"] == 2
    for task in ("worker-0", "worker-1"):
        log = local_run.log(task)
        epochs = [int(epoch) for epoch in re.findall(r"epoch (\d+)", log)]
        assert epochs.count(0) == 1, "a restarted task continues"
        assert epochs[-1] == 7
        assert log.count("finished") == 1
    assert local_run.done()["run"] == "little"
