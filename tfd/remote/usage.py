"""The GPUs that a run requests and holds, and its GPU-hours, from its Jobs and pods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tfd.kubernetes import Object, condition, gpus
from tfd.remote.snapshot import Objects
from tfd.remote.tasks import job_condition

_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Usage:
    """The GPUs of a run."""

    asked: int
    """GPUs of the Jobs that are neither suspended nor ended."""
    held: int
    """GPUs of the pods that have a node and have not ended."""
    idle: int
    """The part of `held` that trains nothing: the run is not running, or the pod is not."""
    hours: float
    """GPU-hours of the pods that exist, from the moment when a pod got its node to its end."""
    unproven_hours: float
    """Upper limit of the GPU-hours of ended Jobs whose pods are deleted. The time in a queue is part of it."""


def usage(objects: Objects, trains: bool, now: datetime) -> Usage:
    """Return the GPUs of a run.

    Args:
        objects: the objects of the run.
        trains: whether its leader runs.
        now: the end of what has not ended.

    """
    pods = [pod for each in objects.pods.values() for pod in each]
    holding = [pod for pod in pods if _holds(pod)]
    running = [pod for pod in holding if trains and pod["status"].get("phase") == "Running"]
    held = sum(map(_gpus_of_pod, holding))
    return Usage(
        asked=sum(map(_gpus_of_job, filter(_asks, objects.jobs.values()))),
        held=held,
        idle=held - sum(map(_gpus_of_pod, running)),
        hours=sum(_gpus_of_pod(pod) * _hours_of_pod(pod, now) for pod in pods),
        unproven_hours=sum(
            _gpus_of_job(job) * _hours_of_job(job)
            for role, job in objects.jobs.items()
            if not any(objects.pods.get(task) for task in objects.tasks(role))
        ),
    )


def _holds(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod["status"].get("phase") not in _ENDED


def _asks(job: Object) -> bool:
    return not job["spec"].get("suspend") and not job_condition(job)[0]


def _gpus_of_pod(pod: Object) -> int:
    return sum(gpus(container.get("resources", {})) for container in pod["spec"]["containers"])


def _gpus_of_job(job: Object) -> int:
    return int(job["spec"].get("parallelism", 1)) * _gpus_of_pod(job["spec"]["template"])


def _hours_of_pod(pod: Object, now: datetime) -> float:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "True":
        return 0.0
    if pod["status"].get("phase") not in _ENDED:
        return _hours(scheduled.get("lastTransitionTime"), now)
    containers = pod["status"].get("containerStatuses", [])
    ends = [each["state"].get("terminated", {}).get("finishedAt") for each in containers]
    # A pod that was evicted before it ran has no container. Then the time when it became not ready is the only record.
    return _hours(scheduled.get("lastTransitionTime"), max(filter(None, ends), default=_since_not_ready(pod)))


def _since_not_ready(pod: Object) -> str:
    return str(condition(pod, "Ready").get("lastTransitionTime") or "")


def _hours_of_job(job: Object) -> float:
    """Return the hours from the start to the end of a Job; 0 for one that has not ended."""
    status = job["status"]
    return _hours(status.get("startTime"), status.get("completionTime") or _failed_at(job))


def _failed_at(job: Object) -> str:
    failed = condition(job, "Failed")
    return str(failed.get("lastTransitionTime") or "") if failed.get("status") == "True" else ""


def _hours(start: str | None, end: str | datetime | None) -> float:
    if not start or not end:
        return 0.0
    last = end if isinstance(end, datetime) else datetime.fromisoformat(end)
    return max(0.0, (last - datetime.fromisoformat(start)).total_seconds() / 3600)
