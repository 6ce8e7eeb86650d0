"""The status of a run: its state in one word, its tasks and its progress."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tfd.remote.kubectl import Kubectl
from tfd.remote.progress import progress
from tfd.remote.queue import holding, stopped, waiting
from tfd.remote.snapshot import Objects, look
from tfd.remote.tasks import State, Task, job_condition, tasks

FINAL = ("done", "failed", "archived")
STATES = ("running", "starting", "waiting", "queued", "suspended", *FINAL)
"""The states of a run."""


@dataclass(frozen=True)
class Role:
    """The tasks of one role and their Job."""

    name: str
    job: str
    """`active`, `suspended`, `Complete`, `Failed`, or `none`."""
    why: str
    tasks: list[Task]

    def count(self) -> dict[str, int]:
        """Return the number of tasks in each state."""
        return dict(Counter(task.state.value for task in self.tasks))


@dataclass(frozen=True)
class Status:
    """One run at one moment."""

    run: str
    namespace: str
    strategy: str
    state: str
    """queued, waiting, starting, running, suspended, done, failed or archived (no Jobs)."""
    why: str
    roles: list[Role]
    progress: dict[str, Any]
    queue: str = ""
    """The queue of the run; empty without one."""

    def as_json(self) -> dict[str, Any]:
        """Return the status for machines."""
        return {
            "run": self.run,
            "namespace": self.namespace,
            "strategy": self.strategy,
            "state": self.state,
            "why": self.why,
            "queue": self.queue,
            "progress": self.progress,
            "roles": {
                role.name: {"job": role.job, "why": role.why, "tasks": len(role.tasks), "states": role.count()}
                for role in self.roles
            },
            "tasks": {
                task.name: {
                    "state": task.state.value,
                    "why": task.why,
                    "node": task.node,
                    "attempts": task.attempts,
                    "exitCode": task.exit_code,
                }
                for role in self.roles
                for task in role.tasks
            },
        }


def status(kubectl: Kubectl, run: str) -> Status:
    """Return the state of `run`.

    Raises:
        NotFoundError: there is no such run.
        ClusterError: the cluster did not answer.

    """
    objects = look(kubectl, run)
    return of_objects(objects, progress(kubectl, objects) if objects.jobs else {})


def of_objects(objects: Objects, known: dict[str, Any] | None) -> Status:
    """Return the state of a run.

    Args:
        objects: the objects of the run.
        known: its progress. None if it was not read: then a run whose leader runs counts as running.

    """
    roles = [_role(objects, name) for name, number in objects.identity["replicas"].items() if number]
    state, why = _state(objects, roles, known)
    strategy = str(objects.identity["strategy"])
    shown = roles if objects.jobs else []
    return Status(objects.run, objects.namespace, strategy, state, why, shown, known or {}, objects.queue)


def _role(objects: Objects, name: str) -> Role:
    job = objects.jobs.get(name)
    ended, why = job_condition(job)
    suspended = job is not None and job["spec"].get("suspend")
    return Role(
        name, ended or ("none" if job is None else "suspended" if suspended else "active"), why, tasks(objects, name)
    )


def _state(objects: Objects, roles: list[Role], known: dict[str, Any] | None) -> tuple[str, str]:
    if not objects.jobs:
        return "archived", "its Jobs are archived or deleted"
    leader = next(role for role in roles if role.name == objects.leader)
    failed = [role for role in roles if role.job == "Failed" and role.name not in (leader.name, "evaluator")]
    if leader.job in ("Complete", "suspended"):
        return {"Complete": "done"}.get(leader.job, leader.job), ""
    if leader.job == "Failed":
        return "failed", _reason(leader, known or {}) + holding(objects)
    if failed:
        return "failed", f"the Job of {failed[0].name} failed: {failed[0].why}{holding(objects)}"
    return _beginning(objects, leader, known, [role.name for role in roles if role.job == "Failed"])


def _beginning(objects: Objects, leader: Role, known: dict[str, Any] | None, failed: list[str]) -> tuple[str, str]:
    if not any(task.state is State.RUNNING for task in leader.tasks):
        if final := stopped(objects):
            return "failed", final
        if queued := waiting(objects, failed):
            return "queued", queued
        return "waiting", next((task.why for task in leader.tasks if task.why), "")
    # Before training the trainer reports what it waits for. A custom script may report nothing at all.
    custom = objects.identity.get("command") is not None or objects.identity.get("args")
    if known is None:
        return "running", ""
    if known.get("state") == "starting" or not (known or custom):
        return "starting", str(known.get("message") or "")
    return "running", ""


def _reason(leader: Role, known: dict[str, Any]) -> str:
    """Return why the run failed. The reason of the trainer is more precise than that of Kubernetes."""
    found = next((task.why for task in leader.tasks if task.state is State.FAILED and task.why), "")
    return found or str(known.get("message") or "") or leader.why
