"""A node is drained or lost. Only the cluster of `make cluster` can lose nodes."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import GPUS
from tests.e2e.kube import Kube
from tests.e2e.team import Team, job, role_of

# Without retries, a failure that counts as a retry ends the run.
VALUES = job(
    "ParameterServer",
    1500,
    gpus=1,
    retries=0,
    failure={"retriesPerTask": 0, "gracePeriod": "20s", "startTimeout": "5m"},
)


@pytest.fixture
def second(kube: Kube) -> Iterator[str]:
    """Return the name of a second node; restore the nodes afterwards."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: only the cluster of `make cluster` can lose nodes")
    kube.devcluster("up", "--nodes", "2", "--no-images")
    kube.devcluster("gpus", "node2", str(GPUS))
    yield "node2"
    kube.devcluster("node", "start", "node2")
    kube.devcluster("gpus", "node2", "0")
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


def test_run_moves_from_a_drained_node(team: Team, second: str) -> None:
    """The node of all tasks is drained, and the run has no retries: the disruption is not counted, and new pods on the
    other node continue from the checkpoint. All Jobs are Complete."""
    on_second(team, "drained", second)
    team.kube.kubectl("drain", second, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
    moved_and_ended(team, "drained")


def test_run_moves_from_a_lost_node(team: Team, second: str) -> None:
    """The node of all tasks loses power and is deleted from the cluster, like in a cloud, and the run has no retries:
    the loss is not counted, and new pods on the other node continue from the checkpoint. All Jobs are Complete."""
    on_second(team, "lost", second)
    team.kube.devcluster("node", "stop", second)

    def detected() -> bool:
        conditions = team.kube.get("node", second)["status"]["conditions"]
        return any(each["type"] == "Ready" and each["status"] == "Unknown" for each in conditions)

    team.wait("the loss to be detected", detected)
    team.kube.kubectl("delete", "node", second)
    moved_and_ended(team, "lost")
