"""Writes the long, collapsed parts of a review comment: rendered objects, TF_CONFIG and Applications."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from tfd.kinds import RUN
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.markdown import table
from tfd.review.output.redaction import Redactor
from tfd.review.output.rights import rank
from tfd.review.output.shown import Shown

_LONGEST_LINE = 600
_MOST_LINES = 1500
_MOST_APPLICATIONS = 100

Section = tuple[str, str, bool]
"""Title, body, and whether it is a warning that the section is left out."""


def of_review(review: PullRequestReview, redactor: Redactor, shown: Shown) -> Iterator[Section]:
    """Yield all sections, the most useful first."""
    if review.runs:
        yield _applications(review, redactor)
    runs = sorted(review.runs, key=rank)
    for run in runs:
        # The rendering of a job file with a secret may repeat it in forms that the redactor does not find.
        if run.merged_rendering and not run.secrets and (text := _diff(run, redactor, shown)):
            against = f", compared with {redactor.text(run.nearest.name)}" if run.nearest else ""
            yield f"Rendered objects of {redactor.text(run.name)}{against}", redactor.block(text, "diff"), True
    for run in runs:
        rendering = run.merged_rendering
        if rendering and not run.secrets and run.base_rendering is None and rendering.record and rendering.jobs:
            text = "\n".join(f"{task} {_cut(config)}" for task, config in rendering.tf_config())
            yield f"TF_CONFIG of {redactor.text(run.name)}", redactor.block(text), False


def _diff(run: RunReview, redactor: Redactor, shown: Shown) -> str:
    """Return the unified diff of the rendered objects from the base, or from the nearest earlier run."""
    compared = run.base_rendering or run.nearest_rendering
    base = compared.documents() if compared else {}
    merged = run.merged_rendering.documents() if run.merged_rendering else {}
    lines: list[str] = []
    for name in [*merged, *(name for name in base if name not in merged)]:
        lines += difflib.unified_diff(base.get(name, []), merged.get(name, []), name, name, lineterm="")
    if len(lines) > _MOST_LINES:
        shown.cut(f"the rendered objects of {redactor.code(run.name)}")
        lines[_MOST_LINES:] = [f"... and {len(lines) - _MOST_LINES} more lines"]
    # The list of all tasks is long, and the chart writes it.
    clusters = [each.cluster for each in (compared, run.merged_rendering) if each]
    unseen = [
        line for line in lines if len(line) > _LONGEST_LINE and not any(_is_list(line, each) for each in clusters)
    ]
    if unseen:
        shown.cut(f"long lines of {redactor.code(run.name)}")
    return "\n".join(map(_cut, lines))


def _applications(review: PullRequestReview, redactor: Redactor) -> Section:
    base, merged = review.base_emulation.generated, review.merged_emulation.applications
    deleted = review.merged_emulation.deleted(base)
    rows = []
    for name in sorted([*merged, *deleted]):
        if base.get(name) != merged.get(name):
            effect = "is created" if name not in base else "is deleted" if name in deleted else "changes"
            each = merged.get(name) or base[name]
            revision, namespace = each["source"]["targetRevision"], each["destination"]["namespace"]
            rows.append(
                [
                    redactor.code(name),
                    effect,
                    redactor.code(each["project"]),
                    redactor.code(namespace),
                    redactor.code(revision),
                ]
            )
    existing = len(merged.keys() & base.keys())
    body = (
        f"{len(merged):,} in total, of which {existing:,} exist{'s'[: existing == 1]} already." if merged else "None."
    )
    blocked = {(each.kind, each.team): each.path for each in reversed(review.merged_emulation.blocked)}
    for (kind, team), path in blocked.items():
        place = redactor.code(path)
        which = "Applications" if kind is RUN else f"Applications of {kind.folder}"
        body += f" {which} of team {redactor.code(team)} are not listed: they stay unchanged until {place} is fixed."
    if rows:
        body += "\n\n" + table(
            ["Application", "effect", "project", "namespace", "chart revision"], rows[:_MOST_APPLICATIONS]
        )
        if len(rows) > _MOST_APPLICATIONS:
            body += f"\n\n... and {len(rows) - _MOST_APPLICATIONS} more"
    return f"Applications after the merge ({len(merged):,})", body, False


def _is_list(line: str, cluster: str) -> bool:
    """Return whether a line is the list of all tasks and nothing else."""
    return cluster in line and len(line) - len(cluster) < len("+   cluster: ''") + 1


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}... ({len(line):,} characters)"
