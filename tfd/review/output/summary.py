"""The headline of a review, and the table row of each run."""

from __future__ import annotations

from collections import Counter

from tfd.kinds import RUN
from tfd.review.analysis.actions import ADDING, STARTING, STOPPING, Action
from tfd.review.analysis.findings import Level, Message, sentence
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.shown import count, counted, joined
from tfd.review.sources.quantities import decimal, gibibytes
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import ResourceRequest

# What a merge does to runs; what a number of runs do once they are no longer blocked; the same for one run.
_VERBS = {
    Action.STARTS: ("starts {}", "start", "starts"),
    Action.STARTS_AGAIN: ("starts {} again", "start again", "starts again"),
    Action.RESUMES: ("resumes {}", "resume", "resumes"),
    Action.SUSPENDS: ("suspends {}", "are suspended", "is suspended"),
    Action.ARCHIVES: ("archives {}", "are archived", "is archived"),
    Action.DELETED: ("deletes {}", "are deleted", "is deleted"),
    Action.CHANGES: ("changes {} in place", "change in place", "changes in place"),
    Action.ADDED_SUSPENDED: ("adds {} suspended", "are added suspended", "is added suspended"),
    Action.ADDED_ARCHIVED: ("adds {} archived", "are added archived", "is added archived"),
    Action.UNCHANGED: ("leaves {} unchanged", "stay unchanged", "stays unchanged"),
}


def mark(review: PullRequestReview, *, warned: bool = False) -> str:
    """Return the symbol of the headline: a check mark only if nothing speaks against the merge.

    Args:
        review: the review.
        warned: whether the comment itself warns, for example of something that it does not show.

    """
    if review.exit_code:
        return {1: "❌", 2: "❔"}[review.exit_code]
    blocked = any(_is_blocked(run, review) for run in review.runs)
    return "⚠️" if warned or blocked or review.of_level(Level.WARNING) else "✅"


def headline(review: PullRequestReview) -> Message:
    """Return the effect of the merge, or that it is refused or cannot be judged."""
    if refused := review.of_level(Level.REFUSED):
        return sentence(f"Refused: {count(len(refused), 'problem')}")
    if review.of_level(Level.UNKNOWN):
        return sentence("Cannot judge the effect of this merge")
    waived = review.of_level(Level.WAIVED)
    end = f"; {count(len(waived), 'violation')} waived" if waived else ""
    blocked = [run for run in review.runs if _is_blocked(run, review)]
    free = [run for run in review.runs if run not in blocked]
    if not blocked:
        return sentence(f"Merging {_active(free)}{_cost(free)}{end}")
    cause, values, remedy = _cause(blocked, review)
    later = f"{remedy}, {_passive(blocked)}{_cost(blocked)}{end}"
    verb = "starts" if any(run.action in STARTING for run in blocked) else "changes"
    now = f"Merging {_active(free)}{_cost(free)}. The rest waits: " if free else f"Merging {verb} nothing yet: "
    return sentence(f"{now}{cause}. {later}", *values)


def _is_blocked(run: RunReview, review: PullRequestReview) -> bool:
    """Return whether Argo CD does not apply the change of a run after the merge."""
    job = run.merged or run.base
    in_blocked_set = job is not None and review.merged_emulation.blocks(job)
    return run.action in _VERBS and (in_blocked_set or bool(run.missing_tag))


def _cause(runs: list[RunReview], review: PullRequestReview) -> tuple[str, list[str], str]:
    """Return why runs are blocked, as a template, its values, and the condition that ends it."""
    sets = {(run.kind, job.team) for run in runs if (job := run.merged or run.base)}
    files = [each for each in review.merged_emulation.blocked if (each.kind, each.team) in sets]
    if not files:
        return "the git tag {} is missing", [next(run.missing_tag for run in runs if run.missing_tag)], "Once it exists"
    first, *others = files
    if others:
        return f"{{}} and {count(len(others), 'other file')} block their teams", [first.path], "Once they are fixed"
    return "{} blocks team {}", [first.path, first.team], "Once it is fixed"


def _active(runs: list[RunReview]) -> str:
    """Return what a merge does to runs, to follow "Merging"."""
    parts = [
        verb.format(counted(found))
        for action, (verb, _, _) in _VERBS.items()
        if (found := [run.kind.noun for run in runs if run.action is action])
    ]
    if checked := sum(run.action is Action.CHECKED for run in runs):
        parts.append(f"changes {count(checked, 'file')} that start{'s'[: checked == 1]} no run")
    return joined(parts) or "changes no run"


def _passive(runs: list[RunReview]) -> str:
    """Return what runs do once nothing blocks them, as a clause."""
    counts = Counter((run.action, run.kind.noun) for run in runs)
    return joined(
        [
            f"{count(number, noun)} {one if number == 1 else many}"
            for action, (_, many, one) in _VERBS.items()
            for (taken, noun), number in counts.items()
            if taken is action
        ]
    )


def _cost(runs: list[RunReview]) -> str:
    """Return what the starting runs of a merge request and the stopping ones free, to follow a clause."""
    starting = (run.merged_rendering for run in runs if run.action in STARTING)
    total = sum((rendering.request for rendering in starting if rendering), start=ResourceRequest())
    freed = sum(run.base_rendering.request.gpus for run in runs if run.base_rendering and _stops(run))
    bounded = total.gpus - total.endless_gpus
    costs = [f"{count(bounded, 'GPU')}, at most {decimal(total.gpu_hours)} GPU-hours"] if bounded else []
    costs += [f"{count(total.endless_gpus, 'GPU')} without a bound of hours"] if total.endless_gpus else []
    costs += [text for text in (_growth(runs),) if text]
    costs += [f"frees up to {count(freed, 'GPU')}"] if freed else []
    return f": {'; '.join(costs)}" if costs else ""


def _growth(runs: list[RunReview]) -> str:
    """Return what runs that change in place request instead of what they have: "4 GPUs to 64 GPUs"."""
    changing = [run for run in runs if run.action is Action.CHANGES and run.base_rendering and run.merged_rendering]
    before, after = (
        sum((each.running for each in renderings if each), start=ResourceRequest())
        for renderings in ([run.base_rendering for run in changing], [run.merged_rendering for run in changing])
    )
    changed = [f"{old} to {new}" for old, new in zip(_amounts(before), _amounts(after), strict=True) if old != new]
    return ", ".join(changed)


def _amounts(request: ResourceRequest) -> list[str]:
    return [
        count(request.gpus, "GPU"),
        count(request.pods, "pod"),
        f"{decimal(request.gpu_hours)} GPU-hours",
        f"{decimal(request.cpus)} CPUs",
        f"{gibibytes(request.memory)} memory",
        f"{gibibytes(request.storage)} storage",
    ]


def _stops(run: RunReview) -> bool:
    return run.action in STOPPING and run.base is not None and run.base.state == "active"


def topology(rendering: Rendering) -> str:
    """Return the tasks of a run: ``chief, 2 ps, 2 to 4 workers with 1 GPU each``."""
    words = []
    for role in rendering.roles:
        name = role.name if role.tasks == 1 or role.name == "ps" else f"{role.name}s"
        text = name if role.tasks == 1 else f"{_span(str(role.least), str(role.tasks))} {name}"
        if role.gpus_per_task:
            text += f" with {count(role.gpus_per_task, 'GPU')}{' each' if role.tasks > 1 else ''}"
        words.append(text)
    return ", ".join(words) or "none"


def table_row(run: RunReview) -> list[str]:
    """Return tasks, GPUs, CPUs, memory, maximum duration and GPU-hours of a run for a table."""
    stopping = run.action in STOPPING
    rendering = run.base_rendering if stopping else run.merged_rendering or run.base_rendering
    if rendering is None:
        return ["n/a"] * 6
    request = rendering.request
    # TensorBoard and workbenches have no deadline; an archived run has no pod at all.
    hours = f"{decimal(rendering.hours)} h" if rendering.hours else "unlimited" if request.cpus else "none"
    spare = sum((role.tasks - role.least) * role.gpus_per_task for role in rendering.roles)
    return [
        topology(rendering),
        _span(str(request.gpus - spare), str(request.gpus)),
        decimal(request.cpus),
        gibibytes(request.memory),
        hours,
        "unlimited"
        if request.endless_gpus
        else _span(decimal(request.gpu_hours - spare * rendering.hours), decimal(request.gpu_hours)),
    ]


def _span(least: str, most: str) -> str:
    return most if least == most else f"{least} to {most}"


def effect(run: RunReview) -> str:
    """Return the effect of the merge on a run, or that its change is refused or cannot be judged."""
    levels = {finding.level for finding in run.findings}
    if Level.REFUSED in levels:
        return "is refused"
    return "cannot be judged" if Level.UNKNOWN in levels else run.action.value


def training(run: RunReview) -> str:
    """Return how much a new run trains; empty for a custom script."""
    if run.merged_rendering is None or run.action not in ADDING or run.kind is not RUN:
        return ""
    identity = run.merged_rendering.identity
    if identity["command"] is not None or (identity["args"] or [""])[0] == "--":
        return ""
    steps, batch = identity["trainer"]["steps"], identity["trainer"]["batchSize"]
    shares = _shares(run.merged_rendering, batch)
    return f"global batch {batch:,}{shares}, {steps:,} steps, {steps * batch:,} examples"


def _shares(rendering: Rendering, batch: int) -> str:
    """Return how many examples a replica takes in a run whose workers come and go and share the batch; else nothing."""
    elastic = [role for role in rendering.roles if role.is_elastic]
    if not elastic or rendering.identity["strategy"] != "MultiWorkerMirrored":
        return ""
    [workers] = elastic
    per_worker = max(1, workers.gpus_per_task)
    fewest, most = batch // (workers.tasks * per_worker), -(-batch // (workers.least * per_worker))
    return f" ({_span(f'{fewest:,}', f'{most:,}')} per replica)"
