"""The Kubernetes objects of a run at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tfd.kubernetes import INDEX_LABEL, KUEUE, QUEUE_LABEL, ROLES, TENSORBOARD, Object, leader, role_of, selector
from tfd.remote.kubectl import ClusterError, Kubectl, NotFoundError
from tfd.remote.lists import AT_ONCE, Place, listed
from tfd.text import refusal


@dataclass(frozen=True)
class Objects:
    """The objects of one run."""

    run: str
    namespace: str
    record: Object
    """The ConfigMap with the run record. It also has the owner and the labels of the job file."""
    identity: Object
    """The identity of the run, from its run record."""
    jobs: dict[str, Object]
    """Role -> Job."""
    pods: dict[str, list[Object]]
    """Task (`worker-3`) -> its pods, the newest last; pods of earlier attempts stay until the Job is deleted."""
    tensorboard: Object | None
    """TensorBoard's pod, if it is running."""
    warnings: dict[str, str]
    """Name of a Job or pod -> the newest warning about it."""
    queue: str
    """The queue of Kueue in which the run waits; empty without one."""
    workload: Object = field(default_factory=dict)
    """The Workload of a run with a queue; empty if there is none."""
    workload_error: str = ""
    """Why the Workload could not be read."""

    @property
    def leader(self) -> str:
        """Return the role whose end is the end of the run."""
        return leader([role for role, number in self.identity["replicas"].items() if number])

    @property
    def elastic(self) -> bool:
        """Whether the run trains with the workers that are there."""
        template = self.jobs.get("worker", {}).get("spec", {}).get("template", {})
        return bool(variable(template.get("spec", {}), "TRAINER_MIN_WORKERS"))

    def tasks(self, role: str) -> list[str]:
        """Return the names of a role's tasks."""
        return [f"{role}-{index}" for index in range(self.identity["replicas"].get(role, 0))]


def look(kubectl: Kubectl, run: str) -> Objects:
    """Return the objects of `run` in the cluster.

    Raises:
        NotFoundError: it has no such run.
        ClusterError: it did not answer.

    """
    place, query = kubectl.current_namespace(), {"labelSelector": selector(run)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(listed, kind, place, **query) for kind in ("configmaps", "jobs", "pods")]
        events = pool.submit(_events, place)
        records, jobs, pods = (each.result() for each in asked)
    record = next(filter(is_record, records), None)
    if record is None:
        where = f"namespace {kubectl.namespace}" if kubectl.namespace else "the namespace of the current context"
        fix = "Name the namespace with -n, or the run as TEAM/RUN."
        raise NotFoundError(refusal("run", json.dumps(run), f"a run in {where}", fix))
    objects = assemble(record, jobs, pods, newest_warnings(events.result()))
    if not objects.queue:
        return objects
    workload, error = _workload(kubectl, run)
    return replace(objects, workload=workload, workload_error=error)


def is_record(record: Object) -> bool:
    """Return whether a ConfigMap has an identity. One that somebody wrote by hand must not hide all other runs."""
    try:
        identity = json.loads(record["data"]["run.json"])["identity"]
        numbers = identity["replicas"].values()
        return bool(identity["strategy"]) and all(type(each) is int for each in numbers) and _has_leader(identity)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _has_leader(identity: Object) -> bool:
    return any(identity["replicas"].get(role) for role in ("chief", "worker"))


def assemble(record: Object, jobs: Iterable[Object], pods: Iterable[Object], warnings: dict[str, str]) -> Objects:
    """Return the objects of a run without its Workload.

    Args:
        record: the ConfigMap with the run record.
        jobs: the Jobs of the run.
        pods: the pods of the run, in any order.
        warnings: the result of `newest_warnings` for the namespace of the run.

    """
    pods = sorted(pods, key=_age)
    by_role = {role_of(job): job for job in jobs}
    return Objects(
        run=str(record["metadata"]["name"]),
        namespace=str(record["metadata"]["namespace"]),
        record=record,
        identity=json.loads(record["data"]["run.json"])["identity"],
        jobs=by_role,
        pods=_by_task(pods),
        tensorboard=next((pod for pod in pods if role_of(pod) == TENSORBOARD and is_running(pod)), None),
        warnings=warnings,
        queue=_queue(by_role.values()),
    )


def newest_warnings(events: Iterable[Object]) -> dict[str, str]:
    """Return the newest of some warnings about each object."""
    ordered = sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    # Kubernetes accepts an event about an object without a name.
    return {event["involvedObject"].get("name", ""): str(event.get("message", "")) for event in ordered}


def variable(spec: Object, name: str) -> str:
    """Return an environment variable in the specification of a pod; empty if it has none of this name."""
    variables = [each for container in spec.get("containers", [])[:1] for each in container.get("env") or []]
    return next((str(each.get("value", "")) for each in variables if each["name"] == name), "")


def is_running(pod: Object) -> bool:
    """Return whether a pod's containers run."""
    return bool(pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"])


def has_begun(pod: Object) -> bool:
    """Return whether a pod has a log: its container runs or has ended."""
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and "waiting" not in statuses[0]["state"]


def newest(pods: list[Object]) -> Object | None:
    """Return the newest of a task's pods."""
    return pods[-1] if pods else None


def _by_task(pods: Iterable[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for pod in pods:
        # A pod that somebody created by hand has no index.
        index = pod["metadata"]["labels"].get(INDEX_LABEL)
        if role_of(pod) in ROLES and index is not None:
            found.setdefault(f"{role_of(pod)}-{index}", []).append(pod)
    return found


def _queue(jobs: Iterable[Object]) -> str:
    """Return the queue of the pods that Jobs create. The Jobs have no label of it."""
    labels = (job["spec"].get("template", {}).get("metadata", {}).get("labels", {}) for job in jobs)
    return next((str(each[QUEUE_LABEL]) for each in labels if QUEUE_LABEL in each), "")


def _workload(kubectl: Kubectl, run: str) -> tuple[Object, str]:
    """Return the Workload of a run, and why it could not be read; both are empty if there is none."""
    try:
        found = kubectl.items(f"workloads.{KUEUE}", "--field-selector", f"metadata.name={run}")
    except ClusterError as error:
        return {}, str(error)
    return (found[0] if found else {}), ""


def _events(place: Place) -> list[Object]:
    """Return the warnings of the namespace; none without the permission to read events."""
    try:
        return listed("events", place, fieldSelector="type=Warning")
    except ClusterError:
        return []


def _age(pod: Object) -> str:
    return str(pod["metadata"]["creationTimestamp"])
