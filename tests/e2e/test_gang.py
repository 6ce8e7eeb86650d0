"""Gang scheduling: all tasks of a run are scheduled together, or none is."""

import re

import pytest

from tests.e2e.conftest import GPUS
from tests.e2e.kube import Kube, Object
from tests.e2e.team import Team, condition, job


def holds(pod: Object, run: str) -> bool:
    """Return whether a pod belongs to the run, has a node and has not ended."""
    ours = pod["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == run
    return ours and "nodeName" in pod["spec"] and pod["status"]["phase"] not in ("Succeeded", "Failed")


def phases(team: Team, run: str) -> set[str]:
    return {pod["status"]["phase"] for pod in team.pods(run)}


@pytest.mark.smoke
def test_second_gang_waits_until_all_its_gpus_are_free(devcluster: Kube, team: Team) -> None:
    """Two gang runs need 3 of 4 GPUs each. No pod of the second run has a node until all of its pods fit (`tfd status`
    shows `pending`); then all of them run. Every task of both runs exits with 0."""
    workers = {"replicas": 3, "gpus": 1}
    values = job("MultiWorkerMirrored", trainer={"batchSize": 63}, worker=workers, scheduling={"gang": True})
    team.install("first", values)
    team.wait("the first run to be scheduled", lambda: phases(team, "first") == {"Running"})
    team.install("second", values)

    def waits() -> bool:
        pods = team.pods("second")
        return len(pods) == 3 and all(condition(pod, "PodScheduled").get("status") == "False" for pod in pods)

    team.wait("the second run to wait", waits)
    now = team.tfd_status("second")
    assert now["state"] == "waiting"
    assert all(task["state"] == "pending" and task["why"] for task in now["tasks"].values()), now

    def first_is_over() -> bool:
        # One list is one moment: while the first run holds 2 or 3 GPUs, the second run must not use the free ones.
        pods = team.kube.get("-n", team.name, "pods")["items"]
        held = [pod for pod in pods if holds(pod, "first")]
        placed = [pod for pod in pods if holds(pod, "second")]
        assert not placed or len(held) + 3 <= GPUS, team.report()
        return not held

    team.wait("the first run to end", first_is_over)
    for run in ("first", "second"):
        ended = team.end(run)
        assert ended.jobs == {"worker": "Complete"}
        assert ended.codes == {"worker-0": [0], "worker-1": [0], "worker-2": [0]}


def test_killed_worker_returns_to_its_gang(devcluster: Kube, team: Team) -> None:
    """A worker of a gang run is killed (137): its replacement joins the gang, and all Jobs are Complete."""
    team.install("gang", job("ParameterServer", 1000, gpus=1, scheduling={"gang": True}))
    team.saved("gang")
    devcluster.kill(team.pod("gang", "worker-1"))
    end = team.end("gang")
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert end.codes["worker-1"] == [137, 0]


def test_more_important_gang_preempts_a_whole_run_which_resumes(team: Team, classes: tuple[str, str]) -> None:
    """Two gang runs without retries need 3 of 4 GPUs each. The second one has a higher priority and starts while the
    first one trains. All pods of the first run are stopped after a checkpoint, and this counts as no failure. The
    first run resumes from that checkpoint when the second one has ended. All Jobs are Complete."""
    low, high = classes

    def values(name: str, steps: int) -> Object:
        return job(
            "MultiWorkerMirrored",
            steps,
            trainer={"batchSize": 63},
            worker={"replicas": 3, "gpus": 1},
            failure={"retriesPerTask": 0, "gracePeriod": "20s"},
            scheduling={"gang": True, "priorityClassName": name},
        )

    team.install("first", values(low, 1500))
    saved = team.saved("first")
    team.install("second", values(high, 300))
    team.wait("the second run to be scheduled", lambda: phases(team, "second") == {"Running"})
    assert not [pod for pod in team.pods("first") if holds(pod, "first")], team.report()
    assert team.end("second").jobs == {"worker": "Complete"}
    end = team.end("first")
    assert end.jobs == {"worker": "Complete"}
    assert {codes[-1] for codes in end.codes.values()} == {0}
    assert not any(each["status"].get("failed") for each in team.jobs("first").values()), "a preemption was counted"
    starts = [int(step) for step in re.findall(r"training from step (\d+) ", team.log("first", "worker-0"))]
    assert starts[-1] >= saved
