"""The state of each task and the reason for it: from its Kubernetes Job, its pods and the warnings about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tfd import records
from tfd.exits import meaning
from tfd.kubernetes import ENDED_ANNOTATION, Object, condition
from tfd.remote.queue import is_gated, is_kept
from tfd.remote.snapshot import Objects, newest
from tfd.text import plain

_NOT_YET = ("ContainerCreating", "PodInitializing")
_LONGEST = 300


class State(StrEnum):
    """The state of a task."""

    RUNNING = "running"
    STARTING = "starting"
    QUEUED = "queued"
    """Kueue has not admitted the run of the task yet."""
    PENDING = "pending"
    """The pod of the task has no node yet."""
    WAITING = "waiting"
    """The task has no pod yet, or waits for a replacement."""
    SUSPENDED = "suspended"
    ENDING = "ending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Task:
    """One task."""

    name: str
    state: State
    why: str = ""
    node: str = ""
    attempts: int = 0
    exit_code: int | None = None


def tasks(objects: Objects, role: str) -> list[Task]:
    """Return all tasks of a role."""
    return [_task(objects, role, name) for name in objects.tasks(role)]


def job_condition(job: Object | None) -> tuple[str, str]:
    """Return how a Kubernetes Job ended, `Complete` or `Failed`, and why; empty while it is active."""
    for each in (job or {}).get("status", {}).get("conditions", []):
        if each["status"] == "True" and each["type"] in ("Complete", "Failed"):
            if why := (job or {})["metadata"].get("annotations", {}).get(ENDED_ANNOTATION):
                return str(each["type"]), str(why)
            words = (str(each.get(name) or "") for name in ("reason", "message"))
            return str(each["type"]), ": ".join(filter(None, words))
    return "", ""


def termination_message(pod: Object) -> dict[str, Any]:
    """Return exitCode and message of a task that has ended; step and metrics too if it ran the trainer."""
    for status in pod["status"].get("containerStatuses", []):
        if ended := status["state"].get("terminated"):
            text = str(ended.get("message", "")).strip()
            found = records.parse(text) or {"message": text.rpartition("\n")[2]}
            return {**found, "exitCode": ended["exitCode"]}
    return {}


def _task(objects: Objects, role: str, name: str) -> Task:
    pods = [pod for pod in objects.pods.get(name, []) if not is_kept(pod)]
    job, pod = objects.jobs.get(role), newest(pods)
    if pod is None or (pod["status"].get("phase") == "Failed" and not job_condition(job)[0]):
        return _without_pod(objects, role, name, pods)
    state, why = state_of(pod, objects.warnings)
    node = str(pod["spec"].get("nodeName", ""))
    return Task(name, state, _short(why), node, len(pods), termination_message(pod).get("exitCode"))


def _without_pod(objects: Objects, role: str, name: str, pods: list[Object]) -> Task:
    """Return a task that has no pod, or whose last pod has failed."""
    job, last = objects.jobs.get(role, {}), newest(pods)
    index, attempts = int(name.rpartition("-")[2]), len(pods)
    code = termination_message(last).get("exitCode") if last else None
    how = state_of(last, {})[1] if last else ""
    # A Job that is complete with the first success has no pods of its other tasks.
    if within(index, job.get("status", {}).get("completedIndexes", "")) or job_condition(job)[0] == "Complete":
        return Task(name, State.DONE)
    if within(index, job.get("status", {}).get("failedIndexes", "")) or job_condition(job)[0] == "Failed":
        return Task(name, State.FAILED, _short(how or job_condition(job)[1]), "", attempts, code)
    if job.get("spec", {}).get("suspend"):
        return Task(name, State.SUSPENDED)
    if last:
        return Task(
            name, State.WAITING, _short(f"{how}; the Job creates a new pod after the back-off"), "", attempts, code
        )
    # Kubernetes reports an exceeded quota only as a warning about the Job.
    why = objects.warnings.get(job.get("metadata", {}).get("name", ""), "")
    return Task(name, State.WAITING, _short(why or "the Job has not created a pod yet"))


def state_of(pod: Object, warnings: dict[str, str]) -> tuple[State, str]:
    """Return the state of a pod and the reason for it, with the newest warnings about the objects of its namespace."""
    phase = pod["status"].get("phase")
    if phase in ("Succeeded", "Failed"):
        return (State.DONE, "") if phase == "Succeeded" else (State.FAILED, failure(pod))
    if "deletionTimestamp" in pod["metadata"]:
        return State.ENDING, _disruption(pod).get("message", "the pod was deleted")
    if phase == "Running":
        return State.RUNNING, ""
    if is_gated(pod):
        return State.QUEUED, ""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "True":
        return State.PENDING, scheduled.get("message") or "the scheduler has not considered it yet"
    return State.STARTING, held_up(pod) or warnings.get(pod["metadata"]["name"], "")


def held_up(pod: Object) -> str:
    """Return why a pod with a node does not run, for example because its image cannot be pulled."""
    for container in pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", []):
        waiting = container["state"].get("waiting", {})
        if waiting.get("reason") not in (None, *_NOT_YET):
            return ": ".join(filter(None, (waiting["reason"], waiting.get("message"))))
    return ""


def failure(pod: Object) -> str:
    """Return why a pod has failed: its exit code and its last words, or what stopped it."""
    found = termination_message(pod)
    code = found.get("exitCode")
    disrupted = _disruption(pod)
    parts = [f"exit {code}" if code is not None else "", str(found.get("message") or meaning(code))]
    if disrupted:
        parts.append(f"{disrupted.get('reason')}, not counted")
    elif code is None:
        parts += [str(pod["status"].get("reason", "")), str(pod["status"].get("message", ""))]
    return ": ".join(filter(None, parts))


def _disruption(pod: Object) -> Object:
    """Return the condition of a pod that was stopped for other pods, by Kubernetes or by Kueue; empty for others."""
    found = (condition(pod, kind) for kind in ("DisruptionTarget", "TerminationTarget"))
    return next((each for each in found if each.get("status") == "True"), {})


def within(index: int, indexes: str) -> bool:
    """Return whether a Job's list of indexes, such as `0,3-5`, has `index`."""
    ranges = (part.partition("-") for part in indexes.split(",") if part)
    return any(int(first) <= index <= int(last or first) for first, _, last in ranges)


def _short(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
