"""Writes the long, collapsed parts of a review comment: rendered objects, TF_CONFIG and Applications."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.markdown import code, table
from tfd.review.output.redaction import Redactor

_LONGEST_LINE = 600
_MOST_LINES = 700
_MOST_APPLICATIONS = 100

Section = tuple[str, str]
"""Title and body."""


def of_review(review: PullRequestReview, redactor: Redactor) -> Iterator[Section]:
    """Yield all sections, the most useful first."""
    if review.runs:
        yield _applications(review)
    for run in review.runs:
        # The rendering of a job file with a secret may repeat it in forms that the redactor does not find.
        if run.merged_rendering and not run.secrets and (text := _diff(run)):
            against = f", compared with {run.nearest.name}" if run.nearest else ""
            yield f"Rendered objects of {run.name}{against}", redactor.block(text, "diff")
    for run in review.runs:
        rendering = run.merged_rendering
        if rendering and not run.secrets and run.base_rendering is None and rendering.jobs:
            text = "\n".join(f"{task} {_cut(config)}" for task, config in rendering.tf_config())
            yield f"TF_CONFIG of {run.name}", redactor.block(text)


def _diff(run: RunReview) -> str:
    """Return the unified diff of the rendered objects from the base, or from the nearest earlier run."""
    compared = run.base_rendering or run.nearest_rendering
    base = compared.documents() if compared else {}
    merged = run.merged_rendering.documents() if run.merged_rendering else {}
    lines: list[str] = []
    for name in [*merged, *(name for name in base if name not in merged)]:
        lines += difflib.unified_diff(base.get(name, []), merged.get(name, []), name, name, lineterm="")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"... and {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(map(_cut, lines))


def _applications(review: PullRequestReview) -> Section:
    base, merged = review.base_emulation.generated, review.merged_emulation.applications
    deleted = review.merged_emulation.deleted(base)
    rows = []
    for name in sorted([*merged, *deleted]):
        if base.get(name) != merged.get(name):
            effect = "is created" if name not in base else "is deleted" if name in deleted else "changes"
            each = merged.get(name) or base[name]
            revision, namespace = each["source"]["targetRevision"], each["destination"]["namespace"]
            rows.append([code(name), effect, code(each["project"]), code(namespace), code(revision)])
    existing = len(merged.keys() & base.keys())
    body = (
        f"{len(merged):,} in total, of which {existing:,} exist{'s'[: existing == 1]} already." if merged else "None."
    )
    for team, path in {each.team: each.path for each in reversed(review.merged_emulation.blocked)}.items():
        body += f" Applications of team {code(team)} are not listed: they stay unchanged until {code(path)} is fixed."
    if rows:
        body += "\n\n" + table(
            ["Application", "effect", "project", "namespace", "chart revision"], rows[:_MOST_APPLICATIONS]
        )
        if len(rows) > _MOST_APPLICATIONS:
            body += f"\n\n... and {len(rows) - _MOST_APPLICATIONS} more"
    return f"Applications after the merge ({len(merged):,})", body


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}... ({len(line):,} characters)"
