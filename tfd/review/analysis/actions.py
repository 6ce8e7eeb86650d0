"""The effect of a merge on one run."""

from __future__ import annotations

from enum import Enum

from tfd.review.sources.job_files import CommittedJobFile


class Action(Enum):
    """The effect of a merge on one run, as a verb after its name."""

    STARTS = "starts"
    ADDED_SUSPENDED = "is added, suspended"
    ADDED_ARCHIVED = "is added, archived"
    RESUMES = "resumes"
    STARTS_AGAIN = "starts again"
    SUSPENDS = "is suspended"
    ARCHIVES = "is archived"
    CHANGES = "changes in place"
    UNCHANGED = "continues unchanged"
    DELETED = "is deleted"
    CHECKED = "is only checked"
    UNREADABLE = "cannot be read"


STARTING = frozenset([Action.STARTS, Action.RESUMES, Action.STARTS_AGAIN])
STOPPING = frozenset([Action.SUSPENDS, Action.ARCHIVES, Action.DELETED])
ADDING = frozenset([Action.STARTS, Action.ADDED_SUSPENDED, Action.ADDED_ARCHIVED])

_BETWEEN = {
    ("active", "suspended"): Action.SUSPENDS,
    ("active", "archived"): Action.ARCHIVES,
    ("suspended", "active"): Action.RESUMES,
    ("suspended", "archived"): Action.ARCHIVES,
    ("archived", "active"): Action.STARTS_AGAIN,
    ("archived", "suspended"): Action.SUSPENDS,
}
_NEW = {"active": Action.STARTS, "suspended": Action.ADDED_SUSPENDED, "archived": Action.ADDED_ARCHIVED}


def action_of(base: CommittedJobFile | None, merged: CommittedJobFile | None, *, same: bool) -> Action:
    """Return the effect of the merge on a run.

    Args:
        base: the readable job file on the base branch, if there is one.
        merged: the readable job file after the merge, if there is one.
        same: whether every key has the same effective value in both.

    """
    if merged is None:
        return Action.DELETED
    if base is None:
        return _NEW[merged.state]
    return _BETWEEN.get((base.state, merged.state), Action.UNCHANGED if same else Action.CHANGES)
