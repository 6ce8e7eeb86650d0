"""`tfd status` of a run in a queue of Kueue. The conditions are those that Kueue 0.19.2 wrote in the experiments."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.tfd.fake_cluster import STATUS, Cluster, Object, all_running, ended, job, pod, record

PREEMPTED = "Preempted to accommodate a workload (UID: 1, JobUID: UNKNOWN) due to prioritization in the ClusterQueue"
NO_QUOTA = "couldn't assign flavors to pod set worker: insufficient unused quota for nvidia.com/gpu, 2 more needed"


def queued_job(role: str, *arguments: Any, **more: Any) -> Object:
    found = job(role, *arguments, **more)
    found["spec"]["template"] = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}}
    return found


def queued_pod(role: str, index: int, phase: str = "Pending", *, gated: bool = False, **status: Any) -> Object:
    found = pod(role, index, phase, **status)
    found["metadata"]["finalizers"] = ["kueue.x-k8s.io/managed"]
    if gated:
        found["spec"]["schedulingGates"] = [{"name": "kueue.x-k8s.io/admission"}]
        message = "Scheduling is blocked due to non-empty scheduling gates"
        found["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": message}]
    return found


def stopped_pod(role: str, index: int) -> Object:
    """Return a pod that Kueue has stopped and keeps until its replacement exists."""
    condition = {"type": "TerminationTarget", "status": "True", "reason": "WorkloadEvictedDueToPreempted"}
    found = queued_pod(role, index, "Failed", conditions=[condition], **ended(143, ""))
    found["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"
    return found


def workload(**conditions: tuple[str, str] | tuple[str, str, str]) -> Object:
    """Return a Workload with conditions, each as status, message and reason."""
    found = [
        {"type": name, "status": status, "message": message, "reason": (more or ("Pending",))[0]}
        for name, (status, message, *more) in conditions.items()
    ]
    metadata = {"name": "little", "namespace": "vision"}
    spec = {"queueName": "team", "podSets": []}
    return {"kind": "Workload", "metadata": metadata, "spec": spec, "status": {"conditions": found}}


def gated_pod(role: str, index: int) -> Object:
    """Return a pod that waits for the admission of its run."""
    return queued_pod(role, index, gated=True)


JOBS = [queued_job(role) for role in ("chief", "ps", "worker")]
TASKS = (("chief", 0), ("ps", 0), ("worker", 0), ("worker", 1))
GATED = [gated_pod(*task) for task in TASKS]
WAITING = workload(QuotaReserved=("False", NO_QUOTA))


def test_queued_run_has_the_reason_of_its_queue(cluster: Cluster) -> None:
    cluster.answers |= {"items": [record(), *JOBS, *GATED], "workloads": [WAITING]}
    now = cluster.status()
    assert (now["state"], now["why"], now["queue"]) == ("queued", f"in queue team: {NO_QUOTA}", "team")
    assert {(task["state"], task["why"]) for task in now["tasks"].values()} == {("queued", "")}
    text = cluster.tfd("status", "vision/little").output
    assert f"little in vision, ParameterServer: queued: in queue team: {NO_QUOTA}" in text
    assert "scheduling gates" not in text
    assert any("get workloads.kueue.x-k8s.io --field-selector metadata.name=little" in each for each in cluster.asked())


EVICTED = ("True", PREEMPTED, "Preempted")
REASONS: dict[str, tuple[list[Object], str]] = {
    "preempted, and pods exist again": (
        [workload(Evicted=EVICTED, QuotaReserved=("False", NO_QUOTA))],
        f"the run was stopped and waits again: {NO_QUOTA}",
    ),
    "preempted, and nothing more is known": (
        [workload(Evicted=EVICTED, QuotaReserved=("False", ""))],
        f"the run was stopped and waits again: {PREEMPTED}",
    ),
    "preempted, and the pods are missing": (
        [workload(Evicted=EVICTED, WaitingForReplacementPods=EVICTED, QuotaReserved=("False", PREEMPTED))],
        f"the run was stopped and waits again: {PREEMPTED}",
    ),
    "tasks were not ready in time, and the new pods are missing": (
        [
            workload(
                Evicted=("True", "Exceeded the PodsReady timeout", "PodsReadyTimeout"),
                WaitingForReplacementPods=("True", "Exceeded the PodsReady timeout", "PodsReadyTimeout"),
            )
        ],
        "the run was stopped and waits again: Exceeded the PodsReady timeout",
    ),
    "an old message about a queue without a name": (
        [workload(QuotaReserved=("False", "LocalQueue  doesn't exist"))],
        "the run waits for its turn",
    ),
    "a queue that does not exist": (
        [workload(QuotaReserved=("False", "LocalQueue team doesn't exist"))],
        "LocalQueue team doesn't exist",
    ),
    "Kueue has not answered": ([workload()], "the run waits for its turn"),
    "no Workload": ([], "Workload little does not exist. Check that Kueue is running"),
}


@pytest.mark.parametrize("name", REASONS)
def test_reason_names_what_the_run_waits_for(cluster: Cluster, name: str) -> None:
    workloads, why = REASONS[name]
    cluster.answers |= {"items": [record(), *JOBS, *GATED], "workloads": workloads}
    now = cluster.status()
    assert (now["state"], now["why"]) == ("queued", f"in queue team: {why}")


def test_missing_pods_are_counted_with_the_reason_of_kubernetes(cluster: Cluster) -> None:
    cluster.answers |= {
        "items": [record(), *JOBS, *GATED[:2]],
        "workloads": [workload(WaitingForReplacementPods=("True", "Some Failed pods need replacement"))],
        "events": [{"involvedObject": {"name": "little-worker"}, "message": "exceeded quota", "eventTime": "1"}],
    }
    assert cluster.status()["why"] == "in queue team: 2 of 4 pods are missing: exceeded quota"


def test_failed_evaluator_keeps_a_run_from_its_queue(cluster: Cluster) -> None:
    """Kueue stops a run without one of its pods, and nothing creates the pod of a failed Job again."""
    timeout = ("True", "Exceeded the PodsReady timeout", "PodsReadyTimeout")
    evaluator = queued_job("evaluator", ("Failed", "PodFailurePolicy", "exit code 1"))
    cluster.answers |= {
        "items": [record(evaluator=1), *JOBS, evaluator, *GATED],
        "workloads": [workload(Evicted=timeout, WaitingForReplacementPods=timeout)],
    }
    now = cluster.status()
    assert now["state"] == "queued"
    assert now["why"] == (
        "in queue team: the Job of evaluator has failed, so the run stays incomplete. Copy it with tfd new --warm-start"
    )


def test_workload_that_cannot_be_read_is_named(cluster: Cluster) -> None:
    refused = "Error from server (Forbidden): workloads.kueue.x-k8s.io is forbidden"
    cluster.answers |= {"items": [record(), *JOBS, *GATED], "workloads": refused}
    now = cluster.status()
    assert (now["state"], now["why"]) == ("queued", f"in queue team: {refused}")


def test_admitted_run_is_like_any_other(cluster: Cluster) -> None:
    running = [each for each in all_running() if each["kind"] == "Pod"]
    admitted = workload(QuotaReserved=("True", "Quota reserved in ClusterQueue team"), Admitted=("True", "admitted"))
    cluster.answers |= {"items": [record(), *JOBS, *running], "workloads": [admitted], "status": STATUS}
    now = cluster.status()
    assert (now["state"], now["why"], now["queue"]) == ("running", "", "team")


def test_run_without_a_queue_asks_nothing_of_kueue(cluster: Cluster) -> None:
    cluster.answers |= {"items": all_running(), "workloads": "the server doesn't have a resource type"}
    assert cluster.status()["queue"] == ""
    assert not any("kueue" in each for each in cluster.asked())


def test_pod_that_is_being_preempted_has_the_reason(cluster: Cluster) -> None:
    condition = {"type": "TerminationTarget", "status": "True", "message": PREEMPTED}
    stopping = [queued_pod(*task, "Running", conditions=[condition]) for task in TASKS]
    for each in stopping:
        each["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"
    admitted = workload(Evicted=EVICTED, QuotaReserved=("True", ""), Admitted=("True", ""))
    cluster.answers |= {"items": [record(), *JOBS, *stopping], "workloads": [admitted]}
    assert {(each["state"], each["why"]) for each in cluster.status()["tasks"].values()} == {("ending", PREEMPTED)}


def test_pods_that_kueue_keeps_are_no_attempts(cluster: Cluster) -> None:
    """After a preemption the stopped pods stay until new ones exist. They cost no retry."""
    kept = [stopped_pod(*task) for task in TASKS]
    new = gated_pod("chief", 0)
    new["metadata"]["creationTimestamp"] = "2026-11-24T11:00:00Z"
    again = workload(Evicted=EVICTED, WaitingForReplacementPods=EVICTED)
    cluster.answers |= {"items": [record(), *JOBS, *kept, new], "workloads": [again]}
    now = cluster.status()["tasks"]
    assert (now["chief-0"]["state"], now["chief-0"]["attempts"]) == ("queued", 1)
    assert (now["ps-0"]["state"], now["ps-0"]["why"]) == ("waiting", "the Job has not created a pod yet")
    assert now["ps-0"]["attempts"] == 0


@pytest.mark.parametrize("kept", [stopped_pod, gated_pod])
def test_suspended_run_has_no_pods(cluster: Cluster, kept: Callable[[str, int], Object]) -> None:
    jobs = [queued_job(role, suspend=True) for role in ("chief", "ps", "worker")]
    pods = [kept(*task) for task in TASKS]
    for each in pods:
        each["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"
    inactive = workload(Evicted=("True", "The workload is deactivated", "Deactivated"))
    cluster.answers |= {"items": [record(), *jobs, *pods], "workloads": [inactive]}
    now = cluster.status()
    assert (now["state"], now["why"]) == ("suspended", "")
    assert {(each["state"], each["attempts"]) for each in now["tasks"].values()} == {("suspended", 0)}


@pytest.mark.parametrize("reason", ["DeactivatedDueToRequeuingLimitExceeded", "Deactivated"])
def test_run_that_kueue_has_stopped_for_good_is_failed(cluster: Cluster, reason: str) -> None:
    """Its tasks were not ready in time. A run that was suspended has another reason until its Workload is active."""
    evicted = workload(Evicted=("True", "exceeding the maximum number of re-queuing retries", reason))
    evicted["spec"]["active"] = False
    cluster.answers |= {"items": [record(), *JOBS, *GATED], "workloads": [evicted]}
    now = cluster.status()
    if reason == "Deactivated":
        assert now["state"] == "queued"
    else:
        assert now["state"] == "failed"
        assert "not ready within the waitForPodsReady of Kueue" in now["why"]


def test_failed_run_names_the_quota_that_it_holds(cluster: Cluster) -> None:
    failed = ("Failed", "PodFailurePolicy", "exit code 2")
    jobs = [queued_job(role, failed) for role in ("chief", "ps", "worker")]
    held = workload(QuotaReserved=("True", "Quota reserved"), Admitted=("True", ""))
    cluster.answers |= {"items": [record(), *jobs], "workloads": [held]}
    now = cluster.status()
    assert now["state"] == "failed"
    assert now["why"].endswith("; it holds its quota of queue team until you merge state: suspended or Kueue stops it")
    cluster.answers["workloads"] = [workload(QuotaReserved=("False", "Exceeded the PodsReady timeout"))]
    assert "quota" not in cluster.status()["why"]


def test_preempted_attempt_is_not_counted(cluster: Cluster) -> None:
    """A pod that its Job still holds, with no finalizer of Kueue."""
    condition = {"type": "TerminationTarget", "status": "True", "reason": "WorkloadEvictedDueToPreempted"}
    cluster.answers["items"] = [
        record(), *JOBS, pod("chief", 0, "Failed", conditions=[condition], **ended(143, ""))
    ]  # fmt: skip
    assert "WorkloadEvictedDueToPreempted, not counted" in cluster.status()["tasks"]["chief-0"]["why"]
