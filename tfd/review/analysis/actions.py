"""What merging does to a run."""

from __future__ import annotations

from enum import Enum

from tfd.review.sources.job_files import Job


class Action(Enum):
    """What merging does to a run, as a verb after its name."""

    STARTS = "starts"
    ADDED_SUSPENDED = "is added, suspended"
    ADDED_ARCHIVED = "is added, archived"
    RESUMES = "resumes"
    STARTS_AGAIN = "starts again"
    SUSPENDS = "is suspended"
    ARCHIVES = "is archived"
    CHANGES = "changes"
    STAYS = "goes on unchanged"
    DELETED = "is deleted"
    CHECKED = "is checked only"
    UNREADABLE = "can't be read"


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


def action_of(before: Job | None, after: Job | None, *, same: bool) -> Action:
    """Return what merging does to a run of which one tree or both hold a readable file.

    Args:
        before: the file that started it, if there is one.
        after: the file after the merge, if there is one.
        same: no key has another effective value.

    """
    if after is None:
        return Action.DELETED
    if before is None:
        return _NEW[after.state]
    return _BETWEEN.get((before.state, after.state), Action.STAYS if same else Action.CHANGES)
