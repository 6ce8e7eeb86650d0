"""The rows of `tfd runs`: what is known of many runs, in order, and the sums per team."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tfd.kubernetes import OWNER_ANNOTATION
from tfd.remote.fleet import Fleet
from tfd.remote.kubectl import Kubectl
from tfd.remote.lists import AT_ONCE
from tfd.remote.progress import last_words, progress
from tfd.remote.queue import is_kept
from tfd.remote.snapshot import Objects
from tfd.remote.status import STATES, Status, of_objects
from tfd.remote.tasks import State, failure
from tfd.remote.usage import Usage, usage
from tfd.text import finite
from tfd.workers import Workers, workers


@dataclass(frozen=True)
class Row:
    """One run at one moment."""

    objects: Objects
    status: Status
    usage: Usage
    position: int | None
    """Place in the line of the ClusterQueue, from 1; None if the run is not in line or it could not be read."""
    is_read: bool
    """Whether the progress of a run that runs was read."""
    last_error: str
    """The newest failure of a task of this run, also after it has a new pod; empty without one."""
    age: float | None
    """Seconds since the run was created."""

    @property
    def owner(self) -> str:
        """Return the owner in the job file; empty without one."""
        return str(self._metadata("annotations").get(OWNER_ANNOTATION, ""))

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of the run record, with those of the job file."""
        return self._metadata("labels")

    @property
    def running(self) -> int:
        """Return the number of tasks that run."""
        return sum(task.state is State.RUNNING for role in self.status.roles for task in role.tasks)

    @property
    def all(self) -> int:
        """Return the number of tasks."""
        return sum(len(role.tasks) for role in self.status.roles)

    @property
    def step(self) -> float | None:
        """Return the newest known step."""
        return finite(self.status.progress.get("step"))

    @property
    def steps(self) -> float | None:
        """Return the number of steps of the run; None for a program that records none."""
        of_trainer = (self.objects.identity.get("trainer") or {}).get("steps")
        return finite(self.status.progress.get("steps")) or finite(of_trainer)

    @property
    def share(self) -> float | None:
        """Return the share of the steps that are done, from 0 to 1."""
        return self.step / self.steps if self.steps and self.step is not None else None

    @property
    def workers(self) -> Workers | None:
        """Return the workers of an elastic run that is active; None if they are unknown."""
        return workers(self.status.progress) if self.status.state in ("starting", "running") else None

    @property
    def eta(self) -> float | None:
        """Return the seconds until the last step."""
        known = self.status.progress
        return finite(known.get("etaSeconds")) if self.status.state == "running" else None

    @property
    def result(self) -> dict[str, Any]:
        """Return the metrics on evaluation data, else the loss; empty if neither is recorded."""
        known = self.status.progress
        if isinstance(metrics := known.get("metrics"), dict) and metrics:
            return dict(metrics)
        return {"loss": known["loss"]} if known.get("loss") is not None else {}

    def _metadata(self, field: str) -> dict[str, str]:
        return dict(self.objects.record["metadata"].get(field) or {})

    def as_json(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {
            "run": self.status.run,
            "namespace": self.status.namespace,
            "strategy": self.status.strategy,
            "state": self.status.state,
            "why": self.status.why,
            "queue": self.status.queue,
            "positionInQueue": self.position,
            "tasks": {"running": self.running, "all": self.all},
            "workers": asdict(self.workers) if self.workers else None,
            "gpus": {"asked": self.usage.asked, "held": self.usage.held, "idle": self.usage.idle},
            "gpuHours": self.usage.hours,
            "gpuHoursOfDeletedPodsAtMost": self.usage.unproven_hours,
            "progress": {"isRead": self.is_read, "step": self.step, "steps": self.steps, "etaSeconds": self.eta},
            "result": self.result,
            "ageSeconds": self.age,
            "owner": self.owner,
            "labels": self.labels,
            "lastError": self.last_error,
        }


@dataclass(frozen=True)
class Total:
    """The sums of one group of runs."""

    name: str
    states: dict[str, int]
    """State -> number of runs."""
    usage: Usage
    without_jobs: int
    """Runs that are archived: their Jobs are deleted, so no record has their GPU-hours."""

    def as_json(self) -> dict[str, Any]:
        """Return the sums for machines."""
        return {
            "name": self.name,
            "runs": sum(self.states.values()),
            "states": self.states,
            "gpus": {"asked": self.usage.asked, "held": self.usage.held, "idle": self.usage.idle},
            "gpuHours": self.usage.hours,
            "gpuHoursOfDeletedPodsAtMost": self.usage.unproven_hours,
            "runsWithoutJobs": self.without_jobs,
        }


SORTS: dict[str, Callable[[Row], Any]] = {
    "team": lambda row: (row.status.namespace, STATES.index(row.status.state), row.status.run),
    "run": lambda row: row.status.run,
    "state": lambda row: STATES.index(row.status.state),
    "queue": lambda row: math.inf if row.position is None else row.position,
    "gpus": lambda row: (-row.usage.held, -row.usage.asked),
    "progress": lambda row: math.inf if row.share is None else -row.share,
    "eta": lambda row: math.inf if row.eta is None else row.eta,
    "age": lambda row: math.inf if row.age is None else row.age,
    "owner": lambda row: (not row.owner, row.owner),
}
"""Name of an order -> its key. The order `team` decides between equals."""


@dataclass(frozen=True)
class Choice:
    """Which runs are shown, and how."""

    states: tuple[str, ...] = ()
    """Empty for all."""
    owners: tuple[str, ...] = ()
    """Empty for all."""
    order: str = "team"
    """A name in SORTS."""
    progress: int = 0
    """Number of running runs whose progress is read, the first ones in this order."""


def chosen(fleet: Fleet, choice: Choice, now: datetime) -> list[Row]:
    """Return the rows of the runs that a choice selects. Only progress costs requests: one to three for each run."""
    all_rows = [_row(each, fleet.positions.get((each.namespace, each.run)), now, None) for each in fleet.runs]
    found = _ordered((row for row in all_rows if _may_be(row, choice)), choice.order)
    if choice.progress:
        found = _ordered(_with_progress(found, choice.progress, now), choice.order)
    return [row for row in found if not choice.states or row.status.state in choice.states]


def _may_be(row: Row, choice: Choice) -> bool:
    """Return whether a row can be chosen. Only its progress shows whether it trains already."""
    starting = "starting" in choice.states and row.status.state == "running"
    right_state = not choice.states or row.status.state in choice.states or starting
    return right_state and (not choice.owners or row.owner in choice.owners)


def _ordered(found: Iterable[Row], order: str) -> list[Row]:
    return sorted(sorted(found, key=SORTS["team"]), key=SORTS[order])


def _with_progress(found: list[Row], most: int, now: datetime) -> list[Row]:
    running = [index for index, row in enumerate(found) if row.status.state == "running"][:most]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = pool.map(lambda index: _read(found[index], now), running)
        new = dict(zip(running, read, strict=True))
    return [new.get(index, row) for index, row in enumerate(found)]


def totals(found: Iterable[Row], group: Callable[[Row], str]) -> list[Total]:
    """Return the sums of the rows of each group, in the order of their names."""
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(group(row), []).append(row)
    return [_total(name, groups[name]) for name in sorted(groups)]


def _total(name: str, found: list[Row]) -> Total:
    parts = [row.usage for row in found]
    used = Usage(
        asked=sum(part.asked for part in parts),
        held=sum(part.held for part in parts),
        idle=sum(part.idle for part in parts),
        hours=sum(part.hours for part in parts),
        unproven_hours=sum(part.unproven_hours for part in parts),
    )
    states = Counter(row.status.state for row in found)
    return Total(name, {state: states[state] for state in STATES if states[state]}, used, states["archived"])


def _read(row: Row, now: datetime) -> Row:
    known = progress(Kubectl(row.status.namespace), row.objects)
    return _row(row.objects, row.position, now, known)


def _row(objects: Objects, position: int | None, now: datetime, read: dict[str, Any] | None) -> Row:
    known = last_words(objects) or None if read is None else read
    status = of_objects(objects, known)
    created = objects.record["metadata"].get("creationTimestamp")
    return Row(
        objects=objects,
        status=status,
        usage=usage(objects, status.state == "running", now),
        position=position,
        is_read=read is not None,
        last_error=_last_error(objects),
        age=(now - datetime.fromisoformat(created)).total_seconds() if created else None,
    )


def _last_error(objects: Objects) -> str:
    failed = [
        (pod["metadata"]["creationTimestamp"], task, pod)
        for task, pods in objects.pods.items()
        for pod in pods
        if pod["status"].get("phase") == "Failed" and not is_kept(pod)
    ]
    if not failed:
        return ""
    _, task, pod = max(failed, key=lambda each: each[:2])
    return f"{task}: {failure(pod)}"
