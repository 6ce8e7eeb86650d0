"""The one sentence that a reviewer reads first, and the facts about each run in words."""

from __future__ import annotations

from collections import Counter

from tfd.review.analysis.actions import ADDING, STARTING, STOPPING, Action
from tfd.review.analysis.findings import Level
from tfd.review.analysis.review import Review
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.quantities import gibibytes, number
from tfd.review.sources.rendering import Need, Rendering

_VERBS = {
    Action.STARTS: "starts {}",
    Action.STARTS_AGAIN: "starts {} again",
    Action.RESUMES: "resumes {}",
    Action.SUSPENDS: "suspends {}",
    Action.ARCHIVES: "archives {}",
    Action.DELETED: "deletes {}",
    Action.CHANGES: "changes {} in place",
    Action.ADDED_SUSPENDED: "adds {} suspended",
    Action.ADDED_ARCHIVED: "adds {} archived",
    Action.STAYS: "leaves {} as it is",
}


def verdict(review: Review) -> str:
    """Return what merging does, or why it must not be merged."""
    if refused := review.of_level(Level.REFUSED):
        return f"Refused: {_count(len(refused), 'problem')}"
    if review.of_level(Level.UNKNOWN):
        return "Can't tell what merging does"
    waived = review.of_level(Level.WAIVED)
    after = f", {_count(len(waived), 'rule')} waived" if waived else ""
    return f"Merging {summary(review)}{after}"


def summary(review: Review) -> str:
    """Return what merging does to all runs together."""
    counts = Counter(run.action for run in review.runs)
    parts = [verb.format(_count(counts[action], "run")) for action, verb in _VERBS.items() if counts[action]]
    if counts[Action.CHECKED]:
        parts.append(f"starts nothing in {_count(counts[Action.CHECKED], 'file')} that no cluster runs")
    total = sum((run.now.need for run in review.runs if run.action in STARTING and run.now), start=Need())
    freed = sum(run.was.need.gpus for run in review.runs if run.action in STOPPING and run.was and _ran(run))
    costs = [f"{_count(total.gpus, 'GPU')}, at most {number(total.gpu_hours)} GPU-hours"] if total.gpus else []
    costs += [f"frees up to {_count(freed, 'GPU')}"] if freed else []
    text = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "changes no run"
    text = f"{text}: {'; '.join(costs)}" if costs else text
    return f"{text}, once what stops the team is mended" if _stopped(review) else text


def _stopped(review: Review) -> bool:
    """Whether Argo CD does nothing of it, since another file of the team stops it."""
    teams = review.applications[1].stopped
    jobs = [run.after or run.before for run in review.runs if run.action in _VERBS]
    return any(job is not None and job.team in teams for job in jobs)


def _ran(run: RunReview) -> bool:
    return run.before is not None and run.before.state == "active"


def topology(rendering: Rendering) -> str:
    """Return the tasks of a run: ``chief, 2 ps, 4 workers with 1 GPU each``."""
    words = []
    for role in rendering.roles:
        name = role.name if role.tasks == 1 or role.name == "ps" else f"{role.name}s"
        text = name if role.tasks == 1 else f"{role.tasks} {name}"
        if role.gpus_per_task:
            text += f" with {_count(role.gpus_per_task, 'GPU')}{' each' if role.tasks > 1 else ''}"
        words.append(text)
    return ", ".join(words) or "no task"


def cells(run: RunReview) -> list[str]:
    """Return tasks, GPUs, CPUs, memory, hours and GPU-hours of a run for a table."""
    rendering = run.was if run.action in STOPPING else run.now or run.was
    if rendering is None:
        return [""] * 6
    need = rendering.need
    hours = number(rendering.hours) + " h" if rendering.hours else ""
    return [
        topology(rendering),
        str(need.gpus),
        number(need.cpus),
        gibibytes(need.memory),
        hours,
        number(need.gpu_hours),
    ]


def does(run: RunReview) -> str:
    """Return what merging does to a run, as far as it may be merged."""
    if any(finding.level is Level.REFUSED for finding in run.findings):
        return "refused"
    if any(finding.level is Level.UNKNOWN for finding in run.findings):
        return "can't tell"
    return run.action.value


def training(run: RunReview) -> str:
    """Return how much a new run trains; nothing for what has no training of ours."""
    if run.now is None or run.action not in ADDING:
        return ""
    identity = run.now.record["identity"]
    if identity["command"] or (identity["args"] or [""])[0] == "--" or identity["strategy"] == "None":
        return ""
    steps, batch = identity["trainer"]["steps"], identity["trainer"]["batchSize"]
    return f"global batch {batch:,}, {steps:,} steps, {steps * batch:,} examples"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s'[: count != 1]}"
