"""Why a run waits in a queue of Kueue, and which of its pods Kueue holds."""

from __future__ import annotations

from collections.abc import Sequence

from tfd.kubernetes import KUEUE, Object, condition
from tfd.remote.snapshot import Objects

_GATE = f"{KUEUE}/admission"
_FINALIZER = f"{KUEUE}/managed"
_GAVE_UP = "DeactivatedDueToRequeuingLimitExceeded"


def is_gated(pod: Object) -> bool:
    """Return whether a pod waits for the admission of its run."""
    return any(gate["name"] == _GATE for gate in pod["spec"].get("schedulingGates", []))


def is_kept(pod: Object) -> bool:
    """Return whether a pod has ended and is deleted, but exists until Kueue sees its replacement."""
    metadata = pod["metadata"]
    held = "deletionTimestamp" in metadata and _FINALIZER in metadata.get("finalizers", [])
    return held and pod["status"].get("phase") != "Running"


def waiting(objects: Objects, failed: Sequence[str]) -> str:
    """Return why a run without a running task waits in its queue; empty if it has no queue or is admitted.

    Args:
        objects: the objects of the run.
        failed: the roles whose Jobs have failed. Kueue waits for their pods, which nothing creates again.

    """
    if not objects.queue or _is(objects.workload, "Admitted"):
        return ""
    return f"in queue {objects.queue}: {_reason(objects, failed)}"


def stopped(objects: Objects) -> str:
    """Return that Kueue has stopped a run for good, because its tasks did not start in time; empty if it has not."""
    inactive = objects.workload.get("spec", {}).get("active") is False
    # A run that its job file suspends has another reason.
    if not inactive or condition(objects.workload, "Evicted").get("reason") != _GAVE_UP:
        return ""
    return (
        "its tasks were not ready within the waitForPodsReady of Kueue, so it gave up its quota. "
        "Fix the cause and copy the run, or merge state: suspended and then state: active"
    )


def in_line(objects: Objects) -> bool:
    """Return whether Kueue has not given the run its quota yet, so that the run has a position in its queue."""
    workload = objects.workload
    inactive = workload.get("spec", {}).get("active") is False
    return bool(workload) and not (inactive or _is(workload, "QuotaReserved") or _is(workload, "Finished"))


def holding(objects: Objects) -> str:
    """Return that a failed run holds its quota, and what frees it; empty if it holds none."""
    if not objects.queue or not _is(objects.workload, "QuotaReserved"):
        return ""
    return f"; it holds its quota of queue {objects.queue} until you merge state: suspended or Kueue stops it"


def _reason(objects: Objects, failed: Sequence[str]) -> str:
    workload = objects.workload
    if not workload:
        return objects.workload_error or f"Workload {objects.run} does not exist. Check that Kueue is running"
    evicted = condition(workload, "Evicted") if _is(workload, "Evicted") else {}
    if failed:
        return f"the Job of {failed[0]} has failed, so the run stays incomplete. Copy it with tfd new --warm-start"
    if _is(workload, "WaitingForReplacementPods") and not evicted:
        return _missing(objects)
    why = str(condition(workload, "QuotaReserved").get("message") or "")
    # Kueue reports a queue without a name until the first pod brings the name, and does not correct it.
    if "LocalQueue  doesn't exist" in why and workload["spec"].get("queueName"):
        why = ""
    if evicted:
        return f"the run was stopped and waits again: {why or evicted.get('message', '')}"
    return why or "the run waits for its turn"


def _missing(objects: Objects) -> str:
    names = [name for role in objects.identity["replicas"] for name in objects.tasks(role)]
    found = [name for name in names if not all(map(is_kept, objects.pods.get(name, [])))]
    refused = (objects.warnings.get(job["metadata"]["name"], "") for job in objects.jobs.values())
    why = next(filter(None, refused), "")
    return f"{len(names) - len(found)} of {len(names)} pods are missing{f': {why}' if why else ''}"


def _is(workload: Object, kind: str) -> bool:
    return condition(workload, kind).get("status") == "True"
