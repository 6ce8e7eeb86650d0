"""What a merge does to a workbench. It trains nothing, so it may start any number of times and end at any time."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.review.analysis.actions import Action
from tfd.review.analysis.findings import Finding, Level, sentence
from tfd.review.analysis.key_changes import FINAL, UNSET
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.rendering import Rendering
from tfd.text import dotted, shown

_POD = (
    "{}: got {}; expected {}, the value of the merged workbench. Raise session as well, which starts the workbench "
    "again."
)
_HOME = "{}: got {}; expected {}, the value of the merged workbench. Restore it, or copy the file to a new workbench."


def action(run: RunReview, base: CommittedJobFile | None) -> Action:
    """Return the effect of the merge: another name of its Job starts a workbench again."""
    if base is None:
        return Action.STARTS
    if _jobs(run.base_rendering) != _jobs(run.merged_rendering):
        return Action.STARTS_AGAIN
    return Action.CHANGES if run.keys else Action.UNCHANGED


def changed(run: RunReview, base: CommittedJobFile, merged: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield the changed keys that Kubernetes refuses, and a warning if the change ends what runs in the workbench."""
    if run.action is Action.STARTS_AGAIN:
        message = sentence(
            "Starts again: kernels and terminals of the workbench end, and what is only in their memory is lost. "
            "The home stays."
        )
        yield Finding(Level.WARNING, run.path, message)
    if merged.chart_version != base.chart_version:
        # A run keeps its chart. Without this check, a merged workbench could move to a chart with a known hole.
        yield from merge.policy.of_chart(merged, merge.renderer.newest(merged).version)
    refused = _refused(run)
    keys = [change for change in run.keys if change.kind in FINAL] if refused else []
    template = _POD if refused == {"Job"} else _HOME
    for change in keys:
        line, column = merged.document.position(change.key) if merged.document else (1, 1)
        values = ("nothing" if each == UNSET else shown(each) for each in (change.merged, change.base))
        message = sentence(template, dotted(change.key), *values)
        yield Finding(Level.REFUSED, run.path, message, line, column)


def added(run: RunReview, new: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield the findings about a new workbench."""
    yield from merge.policy.of_chart(new, merge.renderer.newest(new).version)


def deleted(base: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield a warning that the workbench ends, with the command that deletes what stays."""
    claims = [
        item["metadata"]["name"]
        for item in merge.renderer.rendering(base).objects
        if item["kind"] == "PersistentVolumeClaim"
    ]
    message = sentence(
        "Ends the workbench with its kernels and terminals. "
        f"{'The claim {} of its home stays until somebody deletes it.' if claims else 'It has no home.'}",
        *claims[:1],
    )
    fix = f"kubectl -n {base.team} delete persistentvolumeclaim {claims[0]}" if claims else ""
    yield Finding(Level.WARNING, base.path, message, fix=fix)


def _jobs(rendering: Rendering | None) -> set[str]:
    return {item["metadata"]["name"] for item in rendering.jobs} if rendering else set()


def _refused(run: RunReview) -> set[str]:
    """Return the kinds of the objects that the merge would change in a way that Kubernetes refuses."""
    if run.base_rendering is None or run.merged_rendering is None:
        return set()
    before, after = run.base_rendering.immutable, run.merged_rendering.immutable
    return {name.partition("/")[0] for name in before.keys() & after.keys() if before[name] != after[name]}
