"""Custom programs under ParameterServer: every task runs them, and the run ends with its leader and trains once."""

from collections.abc import Callable
from datetime import datetime

import pytest

from devcluster.repository import chart_version
from tests.e2e.gitops import GitOps, synced
from tests.e2e.kube import Object
from tests.e2e.team import Team, task_of
from tests.programs import job

SECONDS = 5.0
"""The longest time between the end of the leader and that of the last task."""
TASKS = ("ps-0", "ps-1", "worker-0", "worker-1")
PROGRAMS = [("shell", True), ("shell", False), ("every_task", True), ("every_task", False), ("coordinator", True)]
programs = pytest.mark.parametrize(
    ("program", "chief"), PROGRAMS, ids=[f"{name}-{'chief' if chief else 'worker'}" for name, chief in PROGRAMS]
)


def ended(pod: Object) -> float:
    """Return the time at which the last attempt of a task ended, to a second."""
    [status] = pod["status"]["containerStatuses"]
    return datetime.fromisoformat(status["state"]["terminated"]["finishedAt"]).timestamp()


def ends(team: Team, run: str) -> dict[str, float]:
    """Return the end of the newest pod of each task."""
    return {task_of(pod): ended(pod) for pod in team.pods(run)}


def check_end(team: Team, run: str, *, chief: bool) -> None:
    """All Jobs are Complete, and all tasks ended with 0 soon after the leader, which trained once."""
    roles, leader = (["chief", "ps", "worker"], "chief-0") if chief else (["ps", "worker"], "worker-0")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(roles, "Complete")
    assert end.codes == {name: [0] for name in sorted({leader, *TASKS})}
    times = ends(team, run)
    # The times of a pod are whole seconds.
    team.timings["leader's end to the last task's"] = max(times.values()) - times[leader]
    assert max(times.values()) - times[leader] <= SECONDS, times
    assert team.done(run)["run"] == run
    assert times_trained(team, run) == 1
    assert team.tfd_status(run)["state"] == "done"


def times_trained(team: Team, run: str) -> int:
    return team.read(f"{run}.trained").count("once")


@programs
def test_program_ends_with_its_leader_and_runs_once(team: Team, program: str, chief: bool) -> None:
    """2 ps and 2 workers run a two-line shell, a TF 1 program or one with a coordinator. The leader is a chief or
    worker 0, and only its program ends by itself. All Jobs are Complete, and all tasks end with 0 within 5 s of the
    leader. A second `helm install` of the same file trains nothing."""
    run = f"own-{program}-{'chief' if chief else 'worker'}".replace("_", "-")
    values = job(program, chief=chief)
    team.install(run, values)
    check_end(team, run, chief=chief)
    team.uninstall(run)
    team.wait("the end of the pods", lambda: not team.pods(run))
    team.install(run, values)
    end = team.end(run)
    assert set(end.jobs.values()) == {"Complete"}
    assert "was done already" in team.log(run, "ps-0")
    assert times_trained(team, run) == 1


@pytest.mark.parametrize("task", ["worker-1", "ps-0", "chief-0"])
def test_killed_task_of_a_program_is_replaced(team: Team, strike: Callable[[Team, str, str], float], task: str) -> None:
    """Process 1 of a worker, a ps or the chief of a two-line shell is killed (137). Its Job starts the task again, the
    others run on, and the run ends as without the kill."""
    run = "own-killed"
    team.install(run, job("shell", seconds=40))
    for each in ("chief-0", *TASKS):
        team.pod(run, each)
    strike(team, run, task)
    end = team.end(run)
    assert set(end.jobs.values()) == {"Complete"}
    assert end.codes == {name: [137, 0] if name == task else [0] for name in sorted(("chief-0", *TASKS))}
    assert times_trained(team, run) == (2 if task == "chief-0" else 1)


def test_argo_cd_trains_a_program_once(team: Team, gitops: GitOps) -> None:
    """Argo CD runs the TF 1 program to its end. Its Jobs are deleted, and a commit to the job file syncs them again:
    every task finds DONE and ends with 0 without training."""
    run = "own-gitops"
    values = job("every_task") | {"chartVersion": chart_version(), "image": team.kube.images["trainer"]}
    gitops.install(team)
    gitops.merge(team, run, values)
    gitops.healthy(team, run)
    check_end(team, run, chief=True)
    team.kubectl("delete", "jobs", "-l", f"app.kubernetes.io/instance={run}", "--cascade=foreground")
    gitops.wait(team, run, "OutOfSync", lambda each: synced(each) == "OutOfSync")
    gitops.merge(team, run, values | {"description": "read again"})
    gitops.healthy(team, run)
    assert set(team.end(run).jobs.values()) == {"Complete"}
    assert "was done already" in team.log(run, "chief-0")
    assert times_trained(team, run) == 1
