"""The place of one run in the queue of its team: which quota is left for it, and which runs it could preempt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tfd.kubernetes import QUEUED
from tfd.review.analysis.team_queues import Amounts, TeamQueues, total
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import Workload


class Outlook(Enum):
    """Whether a run starts, if every merged run that is active holds what it requests."""

    FITS = "fits"
    RECLAIMS = "reclaims"
    """It fits into the quota of its team, once other teams return what they borrow."""
    BORROWS = "borrows"
    """It needs quota that other teams of the cohort lend."""
    PREEMPTS = "preempts"
    """It fits once runs of a lower priority in its queue are preempted."""
    WAITS = "waits"
    NEVER = "never"
    """It requests more than the quota of the team and of its cohort."""
    UNKNOWN = "unknown"
    """Its queue is not one of argocd/values.yaml, or the cohort has too many kinds of runs."""


@dataclass(frozen=True)
class Share:
    """One resource of a queue, in the unit of the resource: CPUs, bytes, or GPUs."""

    resource: str
    asked: float
    quota: float
    """The nominal quota of the team, over all flavors."""
    used: float
    """What the other active runs of the queue request."""
    cohort_left: float | None
    """What other teams of the cohort do not use of their quota, added to what the team has left."""

    @property
    def left(self) -> float:
        """What the team has left of its quota; negative if it borrows."""
        return round(self.quota - self.used, 3)


@dataclass(frozen=True)
class QueuePlace:
    """The place of a run in a queue."""

    queue: str
    priority: str
    """The class as written; empty for none."""
    priority_value: int | None
    """Its value; None for a class that argocd/values.yaml does not have."""
    outlook: Outlook
    cohort: str = ""
    shares: tuple[Share, ...] = ()
    refused: str = ""
    """For a run that never fits: the resource that is too much, or empty if only the flavors cannot be divided so."""
    most: Amounts | None = None
    """The maximum of each resource that one run could get."""
    preempts: tuple[str, ...] = ()
    """Active runs of a lower priority in the same queue, as TEAM/RUN."""
    reclaims_from: tuple[str, ...] = ()
    """Teams of the cohort whose active runs request more than their quota."""


@dataclass(frozen=True)
class Queued:
    """Another active run in the queue of its team."""

    name: str
    priority: int | None
    amounts: Amounts


def amounts_of(rendering: Rendering) -> Amounts:
    """Return what the tasks of a run request. TensorBoard waits in no queue."""
    return total(map(_amounts, _tasks(rendering)))


def place_of(
    rendering: Rendering,
    team: str,
    priority: str,
    queues: TeamQueues,
    mates: Iterable[Queued],
    lent: dict[str, Amounts] | None,
) -> QueuePlace:
    """Return the place of a run in the queue of its team.

    Args:
        rendering: the objects of the run while it is active.
        team: the team, which has a queue.
        priority: the class of the run in the queue; empty for none.
        queues: the queues of the teams.
        mates: the other active runs of the queue.
        lent: what the active runs of each other team of the cohort request; None if this is not known.

    """
    mates = list(mates)
    asked = {name: amount for name, amount in amounts_of(rendering).items() if amount}
    quota, used = queues.quota(team), total(each.amounts for each in mates)
    value = queues.priorities.get(priority) if priority else 0
    lower = [
        each for each in mates if value is not None and each.priority is not None and each.priority < value
    ]  # fmt: skip
    free = _free_of_others(team, queues, lent)
    shares = tuple(
        Share(name, asked.get(name, 0), quota.get(name, 0), used.get(name, 0), _cohort_left(name, quota, used, free))
        for name in sorted(quota.keys() | asked.keys())
    )
    most = total(queues.most(team).values())
    never = not _divides(list(_tasks(rendering)), queues.most(team), queues.node_labels)
    return QueuePlace(
        queue=team,
        priority=priority,
        priority_value=value,
        outlook=Outlook.NEVER if never else _outlook(shares, total(each.amounts for each in lower), queues.cohort),
        cohort=queues.cohort,
        shares=shares,
        refused=next((name for name in sorted(asked) if asked[name] > most.get(name, 0)), "") if never else "",
        most=most,
        preempts=tuple(sorted(each.name for each in lower)),
        reclaims_from=tuple(
            other for other, left in sorted((free or {}).items()) if any(left.get(name, 0) < 0 for name in asked)
        ),
    )


def _tasks(rendering: Rendering) -> Iterable[Workload]:
    return (each for each in rendering.workloads if each.component in QUEUED)


def _amounts(pods: Workload) -> Amounts:
    return {name: round(amount * pods.pods, 3) for name, amount in pods.amounts().items() if amount}


def _free_of_others(
    team: str, queues: TeamQueues, lent: dict[str, Amounts] | None
) -> dict[str, Amounts] | None:  # fmt: skip
    """Return what each other team of the cohort has left that this team could borrow; negative where it borrows."""
    if not queues.cohort:
        return {}
    if lent is None:
        return None
    found = {}
    for other in queues.quotas.keys() - {team}:
        shared = total(quota for flavor, quota in queues.quotas[other].items() if flavor in queues.quotas[team])
        used, quota = lent.get(other, {}), queues.quota(other)
        found[other] = {
            name: min(round(quota.get(name, 0) - used.get(name, 0), 3), shared.get(name, 0))
            for name in quota.keys() | used.keys()
        }
    return found


def _cohort_left(name: str, quota: Amounts, used: Amounts, free: dict[str, Amounts] | None) -> float | None:
    if free is None:
        return None
    return round(quota.get(name, 0) - used.get(name, 0) + sum(left.get(name, 0) for left in free.values()), 3)


def _outlook(shares: Iterable[Share], preempted: Amounts, cohort: str) -> Outlook:
    """Return whether a run starts that fits into the whole quota."""
    needed = [each for each in shares if each.asked]
    own = all(each.asked <= each.left for each in needed)
    if own and not cohort:
        return Outlook.FITS
    if any(each.cohort_left is None for each in needed):
        return Outlook.UNKNOWN
    lefts = [(each, each.cohort_left or 0, preempted.get(each.resource, 0)) for each in needed]
    if all(each.asked <= left for each, left, _ in lefts):
        return Outlook.FITS if own else Outlook.BORROWS
    if own:
        return Outlook.RECLAIMS
    freed = all(each.asked <= left + more for each, left, more in lefts)
    freed = freed or all(each.asked <= each.left + more for each, _, more in lefts)
    return Outlook.PREEMPTS if preempted and freed else Outlook.WAITS


def _divides(tasks: list[Workload], room: dict[str, Amounts], labels: dict[str, dict[str, str]]) -> bool:
    """Return whether flavors can hold all tasks, with the tasks of one role in one flavor, as Kueue places them."""
    if not tasks:
        return True
    known = {name for flavor in room for name in labels.get(flavor, {})}
    selected = {name: value for name, value in (tasks[0].spec.get("nodeSelector") or {}).items() if name in known}
    asked = _amounts(tasks[0])
    for flavor, amounts in room.items():
        if any(labels.get(flavor, {}).get(name) != value for name, value in selected.items()):
            continue
        if all(amount <= amounts.get(name, 0) for name, amount in asked.items()):
            rest = {name: round(amount - asked.get(name, 0), 3) for name, amount in amounts.items()}
            if _divides(tasks[1:], room | {flavor: rest}, labels):
                return True
    return False
