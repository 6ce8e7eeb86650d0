"""What only a new run can have: the name of another run, a nearest run, a warm start."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.jobfile import helm
from tfd.review.analysis.findings import Finding, Level, sentence
from tfd.review.analysis.fleet import of_one_application
from tfd.review.analysis.history import differences
from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.job_files import CommittedJobFile


def of_new_run(run: RunReview, new: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield the findings about a new run, and set the run that it is compared with."""
    for other in of_one_application(new, merge.merged_tree.jobs.values()):
        message = sentence(
            "got the Application name {}, which {} also gives; expected a unique name. Rename this file.",
            f"{new.team}-{new.run}", other.path,
        )  # fmt: skip
        yield Finding(Level.REFUSED, new.path, message)
    yield from merge.policy.of_chart(new, merge.renderer.newest(new).version)
    _set_nearest(run, new, merge)
    yield from _same_identity(new, merge)
    if new.path in merge.history.deleted_paths:
        message = sentence(
            "A deleted run had this name. If its run directory still exists, only a run with the same identity "
            "can start there."
        )
        yield Finding(Level.WARNING, new.path, message)
    yield from _warm_start(new, merge)


def _set_nearest(run: RunReview, new: CommittedJobFile, merge: Merge) -> None:
    run.nearest = merge.history.nearest(new)
    if run.nearest and run.merged_rendering:
        try:
            run.nearest_rendering = merge.history.rendered_as(run.nearest, new)
        except helm.RefusedError:
            run.nearest = None  # Its chart does not exist any more.
        else:
            run.differences = [
                *differences(run.nearest_rendering, run.merged_rendering),
                *_other_differences(run.nearest, new, merge),
            ]


def _same_identity(new: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield one warning that names all runs with the identity of `new`."""
    deleted = merge.history.deleted_paths
    # A run that this pull request deletes is reported as renamed instead.
    found = [
        job.path
        for job in merge.history.same_identity(new)
        if job.path in merge.merged_tree.jobs or job.path in deleted
    ]
    if found:
        names = ", ".join("{} (deleted)" if path in deleted else "{}" for path in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""  # noqa: PLR2004
        message = sentence(f"Repeats the training of {names}{more}. The identity hash is the same.", *found[:3])
        yield Finding(Level.WARNING, new.path, message)


def _other_differences(nearest: CommittedJobFile, new: CommittedJobFile, merge: Merge) -> list[KeyChange]:
    """Return the keys outside the identity that change the cost or the place of a run."""
    found = merge.changed_keys(nearest, new)
    return [change for change in found if change.kind == "immutable" or change.key in (("deadline",), ("retries",))]


def _warm_start(job: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    name = job.values.get("warmStartFrom")
    if not name:
        return
    line, column = job.document.position(("warmStartFrom",)) if job.document else (1, 1)
    path = f"jobs/{job.team}/{name}.yaml"
    parent = merge.merged_tree.jobs.get(path)
    if parent is None:
        template = "warmStartFrom: {} does not exist. The storage must contain the run directory of that run."
    elif parent.state == "active":
        template = "warmStartFrom: {} is active. The run starts from the newest checkpoint at that time."
    else:
        return
    yield Finding(Level.WARNING, job.path, sentence(template, path), line, column)
