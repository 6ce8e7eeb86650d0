"""The CronJob of argocd/ ends runs that hold GPUs and never start, without Kueue and without a token in their pods."""

import time
from collections.abc import Iterator

import pytest

from devcluster.paths import REGISTRY
from devcluster.repository import chart_version
from tests.e2e.gitops import NAMESPACE, GitOps, at
from tests.e2e.kube import Object
from tests.e2e.team import Team, condition, job

NAME = "tf-distributed-start-timeout"
LIMIT = 30
"""failure.startTimeout of the runs, in seconds."""
NO_IMAGE = f"{REGISTRY}/none@sha256:{'0' * 64}"


@pytest.fixture
def limited(team: Team, gitops: GitOps) -> Iterator[GitOps]:
    """Return the repository of a team in a cluster with the CronJob."""
    gitops.install(team, startTimeout={"image": gitops.kube.images["trainer"]})
    yield gitops
    gitops.kube.kubectl("-n", NAMESPACE, "delete", "cronjob,configmap,serviceaccount", NAME, "--ignore-not-found")


def since(team: Team, run: str) -> float:
    """Wait until a pod of a run has a node; return the time."""

    def placed() -> float:
        times = [condition(pod, "PodScheduled").get("lastTransitionTime") for pod in team.pods(run)]
        return min((at(each) for each in times if each), default=0.0)

    return team.wait(f"a node for {run}", placed)


def test_run_that_never_starts_holds_no_gpu_after_the_start_timeout(team: Team, limited: GitOps) -> None:
    """The image of one run cannot be pulled, a mount of another never comes, and only the ps of a third has no image.
    After `failure.startTimeout` no GPU is held and every Job fails. The Applications are Degraded, and `tfd status` has
    the reason. A run that trains is not touched. The times are recorded."""

    def values(timeout: str = f"{LIMIT}s", **more: Object) -> Object:
        made = job("ParameterServer", 600, failure={"startTimeout": timeout, "gracePeriod": "10s"}, **more)
        made["worker"] |= {"replicas": 1, "gpus": 1}
        return made | {"chartVersion": chart_version(), "image": limited.kube.images["trainer"]}

    runs = {
        "unpulled": values() | {"image": NO_IMAGE},
        "unmounted": values() | {"mounts": [{"at": "/mnt/none", "configMap": "none"}]},
        "without-ps": values(ps={"image": NO_IMAGE}),
    }
    limited.commit({f"jobs/{team.name}/{run}.yaml": each for run, each in (runs | {"healthy": values("10m")}).items()})
    begins = {run: since(team, run) for run in runs}
    for run in runs:
        team.wait(f"{run} to hold no GPU", lambda run=run: team.gpus_held(run) == 0)  # type: ignore[misc]
        team.timings[f"first node of the {run} run to no GPU held"] = time.time() - begins[run]
    for run in runs:
        team.wait(f"all Jobs of {run} to fail", lambda run=run: team.over(run))  # type: ignore[misc]
        limited.wait(team, run, "Degraded", lambda each: each["status"]["health"]["status"] == "Degraded")
    for run, why in {"unpulled": "ImagePull", "unmounted": "ContainerCreating", "without-ps": "ps-0"}.items():
        now = team.tfd_status(run)
        assert now["state"] == "failed"
        assert why in now["why"], now
    assert set(team.end("healthy").jobs.values()) == {"Complete"}
