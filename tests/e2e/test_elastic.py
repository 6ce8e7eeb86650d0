"""Workers of elastic runs come and go, and the GPUs that they free serve other runs."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import GPUS
from tests.e2e.kube import GPU, Kube, Object
from tests.e2e.team import RESTRICTED, Team, finished, job

# What a worker logs when it takes part.
READY = {"ParameterServer": "serving on", "MultiWorkerMirrored": "training from step"}
RUN = "elastic"
# In each strategy the run outlasts the changes at its slow pace, and a step of MultiWorkerMirrored takes all workers.
STEPS = {"ParameterServer": 2000, "MultiWorkerMirrored": 600}
PAUSE = 0.25

pytestmark = pytest.mark.usefixtures("devcluster")


@pytest.fixture(params=list(READY))
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def elastic(strategy: str, steps: int | None = None, *, least: int = 1, most: int = 3, **more: Any) -> Object:
    """Return a job file of an elastic run whose workers take four steps per second until its last changes."""
    rescale = {"rescaleAfter": "20s"} if strategy == "MultiWorkerMirrored" else {}
    return job(
        strategy,
        steps or STEPS[strategy],
        pause=PAUSE,
        worker={"replicas": most, "minReplicas": least, "gpus": 1},
        failure=rescale | more.pop("failure", {}),
        **more,
    )


@pytest.fixture
def occupy(team: Team) -> Iterator[Callable[..., None]]:
    """Return a function that takes some GPUs away, and gives them back when it is called with 0."""

    def take(gpus: int, priority: str = "") -> None:
        team.kubectl("delete", "pod", "occupant", "--ignore-not-found", "--grace-period=0", "--force")
        if gpus:
            container = {
                "name": "main",
                "image": team.kube.images["trainer"],
                "command": ["sleep", "infinity"],
                "resources": {"limits": {GPU: gpus}},
                "securityContext": RESTRICTED,
            }
            spec = {"automountServiceAccountToken": False, "containers": [container]}
            spec |= {"priorityClassName": priority} if priority else {}
            team.kube.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "occupant", "namespace": team.name},
                    "spec": spec,
                }
            )
            team.kubectl("wait", "--for=condition=Ready", "pod/occupant", "--timeout=120s")

    yield take
    take(0)


def works_with(team: Team, workers: int, run: str = RUN) -> None:
    """Wait until `workers` workers take part in a run, and the run does a step with them."""

    def there() -> int | None:
        status = team.status(run)
        found = (status.get("workers") or {}).get("there") == workers and status.get("state") == "running"
        return int(status["step"]) + 1 if found else None

    team.after_step(run, team.wait(f"{run} to train with {workers} workers", there))


def waiting_pods(team: Team) -> list[str]:
    """Return the names of the pods of the run that have no node."""
    return [pod["metadata"]["name"] for pod in team.pods(RUN) if "nodeName" not in pod["spec"]]


def replaced(team: Team, strategy: str, task: str, old: Object) -> None:
    """Wait until the pod that replaces `old` takes part."""

    def ready() -> bool:
        new = [pod for pod in team.pods(RUN, task) if pod["metadata"]["uid"] != old["metadata"]["uid"]]
        running = [pod["metadata"]["name"] for pod in new if pod["status"]["phase"] == "Running"]
        return bool(running) and READY[strategy] in team.kubectl("logs", running[-1])

    team.wait(f"the replacement of {task}", ready)


def ends_well(team: Team, strategy: str, *, lost: int = 0) -> None:
    """Let a run train at full speed: all Jobs are Complete, the last step is exact, and the accuracy is that of an
    undisturbed run."""
    team.hurry(RUN)
    end = team.end(RUN, 600)
    assert set(end.jobs.values()) == {"Complete"}, team.report()
    done = team.done(RUN)
    steps = STEPS[strategy]
    assert steps <= done["step"] <= steps + (lost if strategy == "ParameterServer" else 0)
    assert done["metrics"]["accuracy"] >= 0.95


def test_run_starts_with_two_of_three_workers_and_takes_in_the_third(
    team: Team, strategy: str, occupy: Callable[..., None]
) -> None:
    """There is room for two of three workers: the run starts with them, and `tfd status` shows the pod that waits.
    When the room is free, the third worker joins, and no step is lost. All Jobs are Complete."""
    occupy(GPUS - 2)
    team.install(RUN, elastic(strategy, least=2))
    works_with(team, 2)
    [pending] = [name for name, task in team.tfd_status(RUN)["tasks"].items() if task["state"] == "pending"]
    occupy(0)
    team.pod(RUN, pending)
    works_with(team, 3)
    leader = "chief-0" if strategy == "ParameterServer" else f"worker-{members(team)['leader']}"
    log = team.log(RUN, leader)
    starts = [int(step) for step in re.findall(r"training from step (\d+) ", log)]
    saved = [int(step) for step in re.findall(r"other workers join: saved checkpoint (\d+)", log)]
    assert starts == [0, *saved], "a join loses no step"
    ends_well(team, strategy)


def members(team: Team) -> Object:
    """Return the newest decision of a MultiWorkerMirrored run."""
    return dict(json.loads(team.read(f"{RUN}/members.json")))


def test_run_survives_drained_killed_and_hung_workers(
    team: Team, strategy: str, strike: Callable[[Team, str, str], float], kube: Kube
) -> None:
    """A worker is deleted, another one is killed (137), and a third one hangs until it has been left out: each takes
    part again. All Jobs are Complete at the exact last step."""
    team.install(RUN, elastic(strategy))
    works_with(team, 3)
    old = team.pod(RUN, "worker-1")
    team.kubectl("delete", "pod", old["metadata"]["name"], "--wait=false")
    replaced(team, strategy, "worker-1", old)
    works_with(team, 3)
    old = team.pod(RUN, "worker-2")
    strike(team, RUN, "worker-2")
    replaced(team, strategy, "worker-2", old)
    works_with(team, 3)
    pod = team.pod(RUN, "worker-1")
    kube.freeze(pod)
    works_with(team, 2)
    kube.thaw(pod)
    works_with(team, 3)
    ends_well(team, strategy, lost=3)


def test_run_survives_the_loss_of_its_leader(
    team: Team, strategy: str, strike: Callable[[Team, str, str], float]
) -> None:
    """The chief, or the worker that leads, is killed (137) during training: the run continues from its checkpoint with
    all workers. All Jobs are Complete at the exact last step."""
    team.install(RUN, elastic(strategy))
    works_with(team, 3)
    saved = team.saved(RUN)
    leader = "chief-0" if strategy == "ParameterServer" else f"worker-{members(team)['leader']}"
    old = team.pod(RUN, leader)
    strike(team, RUN, leader)
    replaced(team, strategy if leader != "chief-0" else "MultiWorkerMirrored", leader, old)
    works_with(team, 3)
    log = team.log(RUN, "chief-0" if strategy == "ParameterServer" else f"worker-{members(team)['leader']}")
    assert int(re.findall(r"training from step (\d+) ", log)[-1]) >= saved
    ends_well(team, strategy, lost=3)


def test_more_important_run_takes_gpus_and_gives_them_back(team: Team, strategy: str, classes: tuple[str, str]) -> None:
    """A more important run preempts all workers but the least number of a run without retries, which trains on with
    that one. When the other run ends, the workers return, and no preemption counts as a failure. All Jobs are
    Complete at the exact last step."""
    low, high = classes
    failure = {"retriesPerTask": 0, "gracePeriod": "20s"}
    team.install(RUN, elastic(strategy, failure=failure, scheduling={"priorityClassName": low}))
    works_with(team, 3)
    most = GPUS - 1
    important = elastic("MultiWorkerMirrored", 300, least=most, most=most, scheduling={"priorityClassName": high})
    team.install("important", important)
    works_with(team, 1)
    team.hurry("important")
    assert team.end("important").jobs == {"worker": "Complete"}
    works_with(team, 3)
    ends_well(team, strategy, lost=2)
    assert not any(each["status"].get("failed") for each in team.jobs(RUN).values()), "a preemption was counted"


def test_run_below_its_least_number_of_workers_continues_when_they_return(
    team: Team, strategy: str, classes: tuple[str, str], occupy: Callable[..., None]
) -> None:
    """A more important pod leaves one worker of a run that starts with two. ParameterServer trains on with one worker,
    and MultiWorkerMirrored waits for another one. When the GPUs are free again, all workers take part. All Jobs are
    Complete at the exact last step."""
    low, high = classes
    team.install(RUN, elastic(strategy, least=2, scheduling={"priorityClassName": low}))
    works_with(team, 3)
    occupy(GPUS - 1, high)
    if strategy == "ParameterServer":
        works_with(team, 1)
    else:
        team.wait("two pods to wait", lambda: len(waiting_pods(team)) == 2)
        [alone] = [pod for pod in team.pods(RUN) if pod["status"]["phase"] == "Running"]
        last = r"waiting for a group: worker-\d$"
        log = ["logs", alone["metadata"]["name"]]
        team.wait("the last worker to wait", lambda: re.search(last, team.kubectl(*log), re.MULTILINE))
    occupy(0)
    works_with(team, 3)
    ends_well(team, strategy, lost=2)


def test_end_of_a_run_deletes_its_pods_that_wait(team: Team, strategy: str, occupy: Callable[..., None]) -> None:
    """A run ends while one of its pods has no GPU, because another pod holds it: all Jobs are Complete, and no pod
    waits."""
    occupy(GPUS - 2)
    team.install(RUN, elastic(strategy, 150))
    works_with(team, 2)
    assert len(waiting_pods(team)) == 1
    team.wait("DONE", lambda: team.done(RUN))
    team.wait("the Jobs to be Complete", lambda: all(finished(each) for each in team.jobs(RUN).values()))
    assert set(team.end(RUN).jobs.values()) == {"Complete"}
    assert waiting_pods(team) == []
    assert team.done(RUN)["step"] >= 150


def test_run_takes_the_gpus_of_a_run_that_has_ended(team: Team) -> None:
    """Two runs share four GPUs, and each may use all of them: when one ends, the other one has all four."""
    team.install("first", elastic("ParameterServer", 600, most=GPUS - 1))
    works_with(team, GPUS - 1, "first")
    team.install(RUN, elastic("ParameterServer", most=GPUS))
    works_with(team, 1)
    team.end("first")
    works_with(team, GPUS)
    ends_well(team, "ParameterServer")
