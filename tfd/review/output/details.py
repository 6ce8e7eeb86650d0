"""The long parts of a card that one opens: rendered objects, TF_CONFIG, Applications."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from tfd.review.analysis.review import Review
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.markdown import code, table
from tfd.review.output.redaction import Ink

_LONGEST_LINE = 600
_MOST_LINES = 700
_MOST_APPLICATIONS = 100

Fold = tuple[str, str]
"""Title and body."""


def of_review(review: Review, ink: Ink) -> Iterator[Fold]:
    """Yield all parts, what is most worth reading first."""
    if review.runs:
        yield _applications(review)
    for run in review.runs:
        # Where there is a secret, the rendering is full of it in ways that can't all be foreseen.
        if run.now and not run.secrets and (text := _diff(run)):
            against = f", against {run.nearest.name}" if run.nearest else ""
            yield f"Rendered objects of {run.name}{against}", ink.block(text, "diff")
    for run in review.runs:
        if run.now and not run.secrets and run.was is None and run.now.jobs:
            text = "\n".join(f"{task} {_cut(config)}" for task, config in run.now.tf_config())
            yield f"TF_CONFIG of {run.name}", ink.block(text)


def _diff(run: RunReview) -> str:
    """Return how the rendered objects of a run differ from before, or from the nearest run, as a unified diff."""
    old = run.was or run.nearest_rendering
    before = old.documents() if old else {}
    after = run.now.documents() if run.now else {}
    lines: list[str] = []
    for name in [*after, *(gone for gone in before if gone not in after)]:
        lines += difflib.unified_diff(before.get(name, []), after.get(name, []), name, name, lineterm="")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"... and {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(map(_cut, lines))


def _applications(review: Review) -> Fold:
    before, after = review.applications
    now = after.applications
    gone = after.deletes(before.made)
    rows = []
    for name in sorted([*now, *gone]):
        if before.made.get(name) != now.get(name):
            what = "created" if name not in before.made else "deleted" if name in gone else "changed"
            shown = now.get(name) or before.made[name]
            revision, namespace = shown["source"]["targetRevision"], shown["destination"]["namespace"]
            rows.append([code(name), what, code(shown["project"]), code(namespace), code(revision)])
    body = f"{len(now):,} in all; {len(now.keys() & before.made.keys()):,} of them are there already."
    for team, path in {stop.team: stop.path for stop in reversed(after.stops)}.items():
        body += f" Those of {code(team)} are not counted: they stay as they are until {code(path)} is mended."
    if rows:
        head = ["Application", "merging", "project", "namespace", "revision of the chart"]
        body += "\n\n" + table(head, rows[:_MOST_APPLICATIONS])
        if len(rows) > _MOST_APPLICATIONS:
            body += f"\n\n... and {len(rows) - _MOST_APPLICATIONS} more"
    return f"Applications after the merge ({len(now):,})", body


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}... ({len(line):,} characters)"
