"""A node is drained, or lost. Only the cluster of `make cluster` may be treated so."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import GPUS
from tests.e2e.kube import Kube
from tests.e2e.team import Team, job, role_of

# Without a single retry: only what is not counted may happen.
VALUES = job(
    "ParameterServer",
    1500,
    gpus=1,
    retries=0,
    failure={"retriesPerTask": 0, "gracePeriod": "20s", "startTimeout": "5m"},
)


@pytest.fixture
def second(kube: Kube) -> Iterator[str]:
    """The name of a second node, which is given back as it was."""
    if not kube.own:
        pytest.skip("KUBECONFIG is set: nodes are lost in the cluster of `make cluster` only")
    kube.box("up", "--nodes", "2", "--no-images")
    kube.box("gpus", "node2", str(GPUS))
    yield "node2"
    kube.box("node", "start", "node2")
    kube.box("gpus", "node2", "0")
    kube.kubectl("uncordon", "node1", "node2")


def on_second(team: Team, run: str, second: str) -> None:
    """Install a run whose pods are all on the second node, and wait for its first checkpoint."""
    team.kube.kubectl("cordon", "node1")
    team.install(run, VALUES)
    team.saved(run)
    team.kube.kubectl("uncordon", "node1")
    assert {pod["spec"]["nodeName"] for pod in team.pods(run)} == {second}


def moved_and_ended(team: Team, run: str) -> None:
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert {task: codes[-1] for task, codes in end.codes.items()} == dict.fromkeys(
        ["chief-0", "ps-0", "worker-0", "worker-1"], 0
    )
    ended = [pod for pod in team.pods(run) if pod["status"]["phase"] == "Succeeded"]
    assert {pod["spec"]["nodeName"] for pod in ended} == {"node1"}
    assert not any(job["status"].get("failed") for job in team.jobs(run).values()), "a disruption was counted"
    [chief] = [pod["metadata"]["name"] for pod in ended if role_of(pod) == "chief"]
    assert "training from step 0 " not in team.kubectl("logs", chief)


def test_node_drained(team: Team, second: str) -> None:
    """All tasks' node is drained and the run has no retries: the disruption is not counted, new pods on the other node
    go on from the checkpoint, all Jobs Complete."""
    on_second(team, "drained", second)
    team.kube.kubectl("drain", second, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
    moved_and_ended(team, "drained")


def test_node_lost(team: Team, second: str) -> None:
    """All tasks' node loses power and is taken from the cluster, as a cloud does: the run has no retries, the loss is
    not counted, new pods on the other node go on from the checkpoint, all Jobs Complete."""
    on_second(team, "lost", second)
    team.kube.box("node", "stop", second)

    def noticed() -> bool:
        conditions = team.kube.get("node", second)["status"]["conditions"]
        return any(each["type"] == "Ready" and each["status"] == "Unknown" for each in conditions)

    team.wait("the loss to be noticed", noticed)
    team.kube.kubectl("delete", "node", second)
    moved_and_ended(team, "lost")
