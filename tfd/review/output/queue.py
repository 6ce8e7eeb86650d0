"""Writes the place of a run in its queue: whether it fits, the remaining quota, and which runs it could preempt."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.review.analysis.findings import Message, sentence
from tfd.review.analysis.queue_place import Outlook, QueuePlace, Share
from tfd.review.analysis.team_queues import FILE
from tfd.review.output.markdown import table
from tfd.review.output.redaction import Redactor
from tfd.review.output.shown import count
from tfd.review.sources.quantities import resource_amount

_OUTLOOKS = {
    Outlook.FITS: "Queue {}: the run fits into the quota that is left.",
    Outlook.RECLAIMS: "Queue {}: the run fits into the quota of the team, once other teams return what they borrow.",
    Outlook.BORROWS: "Queue {}: the run borrows quota from other teams, which can take it back.",
    Outlook.PREEMPTS: "Queue {}: the run fits once it has preempted runs of a lower priority.",
    Outlook.WAITS: "Queue {}: the run waits until other runs end.",
    Outlook.NEVER: "Queue {}: the run never fits into the quota.",
}
_COLUMNS = ("resource", "this run", "quota of the team", "other active runs", "left", "left in the cohort")
_MOST = 5
_MOST_RESOURCES = 12


def outlook(place: QueuePlace) -> Message:
    """Return whether the run starts, if every active job file holds what it requests."""
    if place.outlook is not Outlook.UNKNOWN:
        return sentence(_OUTLOOKS[place.outlook], place.queue)
    if not place.shares:
        return sentence(f"Queue {{}}: {FILE} has no quota for it.", place.queue)
    return sentence("Queue {}: not known, because the cohort has too many different runs.", place.queue)


def parts(place: QueuePlace, redactor: Redactor) -> Iterator[str]:
    """Yield the paragraphs about the place of a run, and the table of its quota."""
    words = [redactor.message(outlook(place))]
    if place.preempts:
        words.append(f"It can preempt {_names(place.preempts, 'more run', redactor)}, of a lower priority.")
    if place.reclaims_from:
        words.append(f"More than their quota request: {_names(place.reclaims_from, 'more team', redactor)}.")
    if place.shares:
        words.append("Every active job file counts, also that of a run that has ended.")
    yield " ".join(words)
    if place.shares:
        columns = _COLUMNS if place.cohort else _COLUMNS[:-1]
        rows = [_row(each, redactor)[: len(columns)] for each in place.shares[:_MOST_RESOURCES]]
        more = len(place.shares) - len(rows)
        yield table(columns, rows) + (f"\n\n... and {count(more, 'more resource')}" if more else "")


def _row(share: Share, redactor: Redactor) -> list[str]:
    amounts = (share.asked, share.quota, share.used, share.left)
    cohort = "not known" if share.cohort_left is None else resource_amount(share.resource, share.cohort_left)
    return [redactor.code(share.resource), *(resource_amount(share.resource, each) for each in amounts), cohort]


def _names(names: tuple[str, ...], noun: str, redactor: Redactor) -> str:
    more = f" and {count(len(names) - _MOST, noun)}" if len(names) > _MOST else ""
    return ", ".join(redactor.code(name) for name in names[:_MOST]) + more
