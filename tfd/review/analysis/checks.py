"""What the review of a file checks only for its kind: for a run, or for a workbench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfd.kinds import RUN, WORKBENCH, Kind
from tfd.review.analysis import merged_run, new_run, workbenches
from tfd.review.analysis.actions import STARTING, Action, action_of
from tfd.review.analysis.findings import Finding, Level, sentence
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.quantities import decimal


@dataclass(frozen=True)
class Checks:
    """The checks of one kind."""

    action: Callable[[RunReview, CommittedJobFile | None], Action]
    """The effect of the merge; the file on the base is None if there is none that can be read."""
    changed: Callable[[RunReview, CommittedJobFile, CommittedJobFile, Merge], Iterator[Finding]]
    """Findings about a changed file: its versions on the base and after the merge."""
    added: Callable[[RunReview, CommittedJobFile, Merge], Iterator[Finding]]
    """Findings about a new file."""
    deleted: Callable[[CommittedJobFile, Merge], Iterator[Finding]]
    """Findings about a deleted file."""
    endless: Callable[[RunReview, CommittedJobFile], Iterator[Finding]]
    """Findings about GPUs without a deadline."""


def _action_of_run(run: RunReview, base: CommittedJobFile | None) -> Action:
    return action_of(base, run.merged, same=not run.keys)


def _endless_run(run: RunReview, job: CommittedJobFile) -> Iterator[Finding]:
    """Yield a finding if GPUs of the run have no deadline: nothing would ever free them."""
    if run.rights is None:
        return
    kept = run.base_rights.request.endless_gpus if run.base_rights and run.action not in STARTING else 0
    if run.rights.request.endless_gpus > kept:
        message = sentence(
            f"tensorboard.resources: got {decimal(run.rights.request.endless_gpus)} GPUs without a deadline; expected "
            "GPUs in tasks only. Remove them and set gpus of a role."
        )
        line, column = job.document.position(("tensorboard", "resources")) if job.document else (1, 1)
        yield Finding(Level.REFUSED, job.path, message, line, column)


def _none(run: RunReview, job: CommittedJobFile) -> Iterator[Finding]:
    """Yield nothing: the chart refuses GPUs of a workbench that does not end when nobody works."""
    yield from ()


CHECKS: dict[Kind, Checks] = {
    RUN: Checks(_action_of_run, merged_run.final_keys, new_run.of_new_run, merged_run.deletion, _endless_run),
    WORKBENCH: Checks(
        workbenches.action, workbenches.changed, workbenches.added, workbenches.deleted, _none
    ),
}  # fmt: skip
