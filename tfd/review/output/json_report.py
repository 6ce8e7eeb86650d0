"""The review as JSON, for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tfd.review.analysis.findings import Finding
from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.review import Review
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.redaction import Ink
from tfd.review.output.summary import verdict
from tfd.text import dotted


def as_json(review: Review) -> dict[str, Any]:
    """Return all that a review found."""
    ink = Ink(tuple(secret for run in review.runs for secret in run.secrets))
    before, after = review.applications
    shown: dict[str, Any] = ink.json(
        {
            "base": review.base,
            "head": review.head,
            "exitCode": review.exit_code,
            "verdict": verdict(review),
            "runs": [_run(run) for run in review.runs],
            "findings": [_finding(finding) for finding in review.all_findings],
            "applications": list(after.applications.values()),
            "applicationsDeleted": after.deletes(before.made),
            "teamsStopped": [asdict(stop) for stop in after.stops],
            "otherPaths": review.other_paths,
        }
    )
    return shown


def _run(run: RunReview) -> dict[str, Any]:
    rendering = run.now or run.was
    return {
        "path": run.path,
        "run": run.name,
        "action": run.action.name.lower(),
        "tasks": [asdict(role) for role in rendering.roles] if rendering else [],
        "need": asdict(rendering.need) if rendering else None,
        "hash": run.now.record["hash"] if run.now else None,
        "changes": [_change(change) for change in run.keys],
        "nearest": run.nearest.path if run.nearest else None,
        "differences": [_change(change) for change in run.differences],
        # See folds.py: where there is a secret, the rendering is full of it.
        "objects": run.now.objects if run.now and not run.secrets else [],
        "tfConfig": dict(run.now.tf_config()) if run.now and not run.secrets else {},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"level": finding.level.value}


def _change(change: KeyChange) -> dict[str, Any]:
    return {"key": dotted(change.key), "class": change.kind, "before": change.before, "after": change.after}
