"""A run continues and completes after a task was killed, deleted or out of memory."""

import time
from collections.abc import Callable

import pytest

from tests.e2e.team import Team, job, role_of, when

STEP = r"step \d+/\d+ loss"
EVALUATED = {"replicas": 1}


def delete(team: Team, run: str, task: str) -> float:
    """Delete the pod of a task like an administrator; return the time."""
    name = team.pod(run, task)["metadata"]["name"]
    struck = time.time()
    team.kubectl("delete", "pod", name, "--wait=false")
    return struck


def continues(team: Team, run: str, leader: str, struck: float, first: str = STEP) -> float:
    """Wait until the leader logs `first` and then a step after the failure; return the seconds from failure to step."""

    def next_step() -> float:
        log = team.log(run, leader)
        begun = when(log, first, struck)
        return begun and when(log, STEP, begun - 1e-6)

    return team.wait(f"{run} to continue", next_step) - struck


@pytest.mark.smoke
def test_killed_worker_is_replaced(team: Team, strike: Callable[[Team, str, str], float]) -> None:
    """A worker is killed (137): training continues without the worker, and its replacement exits with 0. All Jobs are
    Complete, all other tasks exit once with 0, and no GPU is held."""
    team.install("killed", job("ParameterServer", 1200, gpus=1))
    team.saved("killed")
    struck = strike(team, "killed", "worker-0")
    team.timings["worker killed to next step"] = continues(team, "killed", "chief-0", struck)
    assert team.gpus_held("killed") > 0
    end = team.end("killed")
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert end.codes == {"chief-0": [0], "ps-0": [0], "worker-0": [137, 0], "worker-1": [0]}
    assert team.done("killed")["metrics"]["accuracy"] >= 0.95


def test_run_survives_a_kill_of_each_role(team: Team, strike: Callable[[Team, str, str], float]) -> None:
    """ps, chief and evaluator are killed (137) in turn: each gets a new pod, and the run continues from its checkpoint
    to its last step. All Jobs are Complete."""
    run, steps = "struck", 2000
    team.install(run, job("ParameterServer", steps, gpus=1, evaluator=EVALUATED))
    team.saved(run)
    for task in ("ps-0", "chief-0"):
        saved = team.saved(run)
        struck = strike(team, run, task)
        seconds = continues(team, run, "chief-0", struck, "training from step")
        team.timings[f"{role_of(team.pods(run, task)[0])} killed to next step"] = seconds
        team.saved(run, saved)
    strike(team, run, "evaluator-0")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "evaluator", "ps", "worker"], "Complete")
    assert end.codes == {
        "chief-0": [137, 0],
        "evaluator-0": [137, 0],
        "ps-0": [137, 0],
        "worker-0": [0],
        "worker-1": [0],
    }
    assert steps <= team.done(run)["step"] <= steps + 1


def test_run_survives_a_deletion_of_each_role(team: Team) -> None:
    """The pods of worker, ps, chief and evaluator are deleted in turn: each task shuts down and gets a new pod, and the
    run continues to its last step. All Jobs are Complete, and all tasks exit with 0."""
    run, steps = "deleted", 2000
    team.install(run, job("ParameterServer", steps, gpus=1, evaluator=EVALUATED))
    team.saved(run)
    for task, first in (("worker-0", STEP), ("ps-0", "training from step"), ("chief-0", "training from step")):
        seconds = continues(team, run, "chief-0", delete(team, run, task), first)
        team.timings[f"{task.partition('-')[0]} deleted to next step"] = seconds
    delete(team, run, "evaluator-0")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "evaluator", "ps", "worker"], "Complete")
    assert {task: codes[-1] for task, codes in end.codes.items()} == dict.fromkeys(
        ["chief-0", "evaluator-0", "ps-0", "worker-0", "worker-1"], 0
    )
    assert steps <= team.done(run)["step"] <= steps + 1


def test_multi_worker_mirrored_run_survives_kill_and_deletion(
    team: Team, strike: Callable[[Team, str, str], float]
) -> None:
    """worker-1 is killed, then worker-0 is deleted: both times, all workers return to the checkpoint together and
    continue to the last step. The Job is Complete, and both workers exit with 0."""
    run = "mirrored"
    team.install(run, job("MultiWorkerMirrored", 2000, gpus=1))
    saved = team.saved(run)
    struck = strike(team, run, "worker-1")
    team.timings["MultiWorkerMirrored worker killed to next step"] = continues(
        team, run, "worker-0", struck, "training from step"
    )
    team.saved(run, saved)
    struck = delete(team, run, "worker-0")
    team.timings["MultiWorkerMirrored worker deleted to next step"] = continues(
        team, run, "worker-1", struck, "training from step"
    )
    end = team.end(run)
    assert end.jobs == {"worker": "Complete"}
    assert end.codes["worker-1"] == [137, 0]
    assert end.codes["worker-0"][-1] == 0
    assert team.done(run)["step"] == 2000


# Many small processes, so that the kernel kills process 1, which has the highest OOM score.
HOG = """
echo 1000 > /proc/1/oom_score_adj
for i in $(seq 40); do (head -c 60M /dev/zero; sleep 60) | tail -n 1 & done
wait
"""


@pytest.mark.parametrize("task", ["chief-0", "worker-0"])
def test_task_over_its_memory_limit_is_retried(team: Team, task: str) -> None:
    """A task exceeds its memory limit and is killed by the kernel (137, OOMKilled). The task is retried and exits with
    0, and all Jobs are Complete."""
    run = "hungry"
    values = job("ParameterServer", 1200)
    limit = {"resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1536Mi"}}}
    team.install(run, values | {task.partition("-")[0]: limit})
    team.saved(run)
    name = team.pod(run, task)["metadata"]["name"]
    team.exec_until_killed(name, HOG)
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert end.codes[task] == [137, 0]
    [killed] = [pod for pod in team.pods(run, task) if pod["metadata"]["name"] == name]
    assert killed["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"
