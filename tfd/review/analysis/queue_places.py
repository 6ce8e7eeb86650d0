"""Finds the place of each changed run in its queue, from the active runs of its team and of the cohort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tfd.review.analysis.actions import ADDING, STARTING
from tfd.review.analysis.findings import Finding, Level, Message, sentence
from tfd.review.analysis.fleet import Totals
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.queue_place import Outlook, Queued, QueuePlace, amounts_of, place_of
from tfd.review.analysis.run_review import RunReview
from tfd.review.analysis.team_queues import FILE, Amounts, TeamQueues, total
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.quantities import resource_amount
from tfd.review.sources.rendering import Rendering

# Helm renders one run of each kind. More of them would take the time that the review has for all files.
MOST_KINDS = 100


def counted(changed: Iterable[CommittedJobFile], merge: Merge) -> list[CommittedJobFile]:
    """Return the active runs in queues that the places of changed runs depend on."""
    queues = merge.policy.queues
    teams = {job.team for job in changed if _is_queued(job, queues)}
    return [
        job
        for job in merge.merged_tree.jobs.values()
        if job.state == "active" and _is_queued(job, queues) and (job.team in teams or (teams and queues.cohort))
    ]


def set_places(merge: Merge, totals: Totals, runs: Iterable[RunReview]) -> None:
    """Set the place of each changed run that names a queue, and add the findings about it.

    Raises:
        HelmError, ReviewError: an active run cannot be rendered for another reason than that the chart refuses it.

    """
    queues = merge.policy.queues
    placed = [(run, run.merged) for run in runs if run.merged and run.rights and run.rights.queues]
    others = counted((job for _, job in placed), merge)
    teams = {job.team for _, job in placed}
    if too_many := len(totals.examples(others)) > MOST_KINDS:
        others = [job for job in others if job.team in teams]
    entries = _entries(others, totals.renderings(others), queues)
    for run, job in placed:
        name, priority = _named(job)
        if _is_queued(job, queues):
            mates = [each for path, each in entries.get(job.team, {}).items() if path != job.path]
            lent = {team: total(each.amounts for each in found.values()) for team, found in entries.items()}
            active = merge.renderer.active(job)
            run.queue = place_of(active, job.team, priority, queues, mates, None if too_many else lent)
            run.findings += _findings(run, job, run.queue, queues)
        else:
            run.queue = QueuePlace(name, priority, queues.priorities.get(priority), Outlook.UNKNOWN)


def _named(job: CommittedJobFile) -> tuple[str, str]:
    """Return the queue and the priority that a job file names; the chart has no default for them."""
    scheduling = job.values.get("scheduling")
    found = scheduling if isinstance(scheduling, dict) else {}
    return str(found.get("queue") or ""), str(found.get("priority") or "")


def _is_queued(job: CommittedJobFile, queues: TeamQueues) -> bool:
    """Return whether a run names the queue that its team has."""
    return job.team in queues.quotas and _named(job)[0] == job.team


def _entries(
    jobs: Iterable[CommittedJobFile], renderings: dict[str, Rendering], queues: TeamQueues
) -> dict[str, dict[str, Queued]]:
    """Return the runs of each team by their paths."""
    found: dict[str, dict[str, Queued]] = {}
    known: dict[int, Amounts] = {}
    for job in jobs:
        if rendering := renderings.get(job.path):
            priority = _named(job)[1]
            value = queues.priorities.get(priority) if priority else 0
            if id(rendering) not in known:
                known[id(rendering)] = amounts_of(rendering)
            found.setdefault(job.team, {})[job.path] = Queued(job.name, value, known[id(rendering)])
    return found


def _findings(run: RunReview, job: CommittedJobFile, place: QueuePlace, queues: TeamQueues) -> Iterator[Finding]:
    """Yield a refusal of a run that never fits, and warnings about its priority and about what it may stop."""
    line, column = job.document.position(("scheduling", "queue")) if job.document else (1, 1)
    if place.outlook is Outlook.NEVER and not _is_kept(run):
        yield Finding(Level.REFUSED, job.path, _never(job, place), line, column)
    if place.priority_value is None:
        message = sentence(
            f"scheduling.priority: {{}} is not one of queues.priorities in {FILE} ({{}}). "
            "Set one of them, or create a WorkloadPriorityClass of this name.",
            place.priority, ", ".join(queues.priorities),
        )  # fmt: skip
        yield Finding(Level.WARNING, job.path, message, *_priority(job))
    if run.action in STARTING and place.outlook is Outlook.PREEMPTS:
        message = sentence(
            "scheduling.priority: the quota that is left does not suffice. The run can stop {}, of a lower priority, "
            "after a checkpoint.",
            ", ".join(place.preempts),
        )
        yield Finding(Level.WARNING, job.path, message, *_priority(job))
    if run.action in STARTING and place.outlook is Outlook.RECLAIMS:
        message = sentence(
            "scheduling.queue: other teams use the quota of the team. The run can stop runs of {}, of any priority, "
            "after a checkpoint.",
            ", ".join(place.reclaims_from),
        )
        yield Finding(Level.WARNING, job.path, message, line, column)


def _priority(job: CommittedJobFile) -> tuple[int, int]:
    return job.document.position(("scheduling", "priority")) if job.document else (1, 1)


def _is_kept(run: RunReview) -> bool:
    """Return whether the run is merged, does not start again, and requests no more than before."""
    if run.base_rendering is None or run.action in STARTING | ADDING or run.rights is None or run.base_rights is None:
        return False
    grown = run.rights.request - run.base_rights.request
    return grown.gpus <= 0 and grown.cpus <= 0 and grown.memory <= 0 and grown.storage <= 0


def _never(job: CommittedJobFile, place: QueuePlace) -> Message:
    """Return the refusal of a run that no quota can hold, with the resource that is too much if there is one."""
    lenders = f"the quota of the team{' and of its cohort' * bool(place.cohort)}"
    [asked] = [each.asked for each in place.shares if each.resource == place.refused] or [0.0]
    if not place.refused:
        return sentence(
            "scheduling.queue: got tasks that the flavors of queue {} cannot hold together; expected the tasks of "
            f"each role in one flavor, within {lenders}. Request less, or raise teams.{job.team}.queue in {FILE} "
            "first.",
            place.queue,
        )
    return sentence(
        f"scheduling.queue: got {resource_amount(place.refused, asked)} of {{}}; expected at most "
        f"{resource_amount(place.refused, (place.most or {}).get(place.refused, 0))} in queue {{}}, {lenders}. "
        f"Request less, or raise teams.{job.team}.queue in {FILE} first.",
        place.refused, place.queue,
    )  # fmt: skip
