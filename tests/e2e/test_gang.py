"""Gang scheduling: all tasks of a run get their place together, or none does."""

import pytest

from tests.e2e.conftest import GPUS
from tests.e2e.kube import Kube, Object
from tests.e2e.team import Team, condition, job


@pytest.fixture
def own(kube: Kube) -> Kube:
    if not kube.own:
        pytest.skip("KUBECONFIG is set: GPUs can be simulated in the cluster of `make cluster` only")
    return kube


def holds(pod: Object, run: str) -> bool:
    """A pod of this run has a node and has not ended."""
    ours = pod["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == run
    return ours and "nodeName" in pod["spec"] and pod["status"]["phase"] not in ("Succeeded", "Failed")


def phases(team: Team, run: str) -> set[str]:
    return {pod["status"]["phase"] for pod in team.pods(run)}


@pytest.mark.smoke
def test_two_runs_of_three_gpus_on_four(own: Kube, team: Team) -> None:
    """Two gang runs that need 3 of 4 GPUs each: the second has no pod with a node until there is room for
    all of them (`tfd status`: pending), then runs whole; both end with 0 everywhere."""
    workers = {"replicas": 3, "gpus": 1}
    values = job("MultiWorkerMirrored", trainer={"batchSize": 63}, worker=workers, scheduling={"gang": True})
    team.install("first", values)
    team.wait("the first run to have its place", lambda: phases(team, "first") == {"Running"})
    team.install("second", values)

    def waits() -> bool:
        pods = team.pods("second")
        return len(pods) == 3 and all(condition(pod, "PodScheduled").get("status") == "False" for pod in pods)

    team.wait("the second run to wait", waits)
    now = team.tfd_status("second")
    assert now["state"] == "waiting"
    assert all(task["state"] == "pending" and task["why"] for task in now["tasks"].values()), now

    def first_is_over() -> bool:
        # One list, so one moment: while the first run holds 2 GPUs or 3, the second must not take what is free.
        pods = team.kube.get("-n", team.name, "pods")["items"]
        held = [pod for pod in pods if holds(pod, "first")]
        placed = [pod for pod in pods if holds(pod, "second")]
        assert not placed or len(held) + 3 <= GPUS, team.story()
        return not held

    team.wait("the first run to end", first_is_over)
    for run in ("first", "second"):
        ended = team.end(run)
        assert ended.jobs == {"worker": "Complete"}
        assert ended.codes == {"worker-0": [0], "worker-1": [0], "worker-2": [0]}


def test_replaced_inside_a_gang(own: Kube, team: Team) -> None:
    """A worker of a gang run is killed: it comes back inside the group, and the run ends well."""
    team.install("gang", job("ParameterServer", 1000, gpus=1, scheduling={"gang": True}))
    team.saved("gang")
    own.kill(team.pod("gang", "worker-1"))
    end = team.end("gang")
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert end.codes["worker-1"] == [137, 0]
