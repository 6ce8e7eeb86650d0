"""Writes the review as JSON, for other programs. docs/reference/json.md describes the fields."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfd.review.analysis.argocd import Application
from tfd.review.analysis.findings import Finding
from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.queue_place import QueuePlace
from tfd.review.analysis.run_review import RunReview
from tfd.review.analysis.secrets import find_secrets
from tfd.review.output.redaction import Redactor
from tfd.review.output.summary import headline
from tfd.text import dotted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def as_json(review: PullRequestReview) -> dict[str, Any]:
    """Return the whole review, without secrets."""
    redactor = Redactor.of(review)
    shown: dict[str, Any] = redactor.json(
        {
            "base": review.base,
            "head": review.head,
            "exitCode": review.exit_code,
            "headline": str(headline(review)),
            "runs": [_run(run) for run in review.runs],
            "findings": [
                _finding(finding, hidden=finding.path in {run.path for run in review.runs if run.secrets})
                for finding in review.all_findings
            ],
            "applications": [_application(each, redactor) for each in review.merged_emulation.applications.values()],
            "applicationsDeleted": review.merged_emulation.deleted(review.base_emulation.generated),
            "blockedTeams": [_fields(each) for each in review.merged_emulation.blocked],
            "policyPaths": review.policy_paths,
            "otherPaths": review.other_paths,
        }
    )
    return shown


def failure(error: Exception, exit_code: int) -> dict[str, Any]:
    """Return the report for a merge that an error makes impossible to judge."""
    return {"exitCode": exit_code, "headline": Redactor().hide(str(error))}


def _fields(of: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a dataclass, and of those in it, with names such as `gpuHours`."""
    return asdict(of, dict_factory=lambda items: {camel(name): value for name, value in items})


def camel(name: str) -> str:
    """Return the name of a field in the JSON."""
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def _run(run: RunReview) -> dict[str, Any]:
    merged = run.merged_rendering
    rendering = merged or run.base_rendering
    # The rendering of a job file with a secret may repeat it in forms that the redactor does not find.
    public = merged if not run.secrets else None
    return {
        "path": run.path,
        "kind": run.kind.noun,
        "run": run.name,
        "action": run.action.name.lower(),
        "tasks": [_fields(role) for role in rendering.roles] if rendering else [],
        "request": _fields(rendering.request) if rendering else None,
        "rights": _fields(run.rights) if run.rights else None,
        "queue": _queue(run.queue) if run.queue else None,
        "hash": merged.record.get("hash") if merged else None,
        "changes": [_change(change) for change in run.keys],
        "nearest": run.nearest.path if run.nearest else None,
        "differences": [_change(change) for change in run.differences],
        "objects": public.objects if public else [],
        "tfConfig": dict(public.tf_config()) if public else {},
    }


def _queue(place: QueuePlace) -> dict[str, Any]:
    return {
        "name": place.queue,
        "priority": place.priority,
        "priorityValue": place.priority_value,
        "cohort": place.cohort,
        "outlook": place.outlook.value,
        "resources": [
            {
                "resource": each.resource,
                "asked": each.asked,
                "quota": each.quota,
                "used": each.used,
                "left": each.left,
                "cohortLeft": each.cohort_left,
                "most": place.most.get(each.resource, 0) if place.most else None,
            }
            for each in place.shares
        ],
        "canPreempt": list(place.preempts),
        "canReclaimFrom": list(place.reclaims_from),
    }


def _application(application: Application, redactor: Redactor) -> Any:  # noqa: ANN401 - JSON
    """Return an Application without the secrets of its own job file, which the pull request may leave as it is."""
    secrets = {secret.text for secret in find_secrets(application["source"]["helm"]["values"])}
    others = secrets.difference(redactor.secrets)
    return Redactor(tuple(sorted(others))).json(application) if others else application


def _finding(finding: Finding, *, hidden: bool) -> dict[str, Any]:
    found = _fields(finding) | {"level": finding.level.value, "message": str(finding.message)}
    return found | {"suggestion": None} if hidden else found


def _change(change: KeyChange) -> dict[str, Any]:
    return {"key": dotted(change.key), "class": change.kind, "base": change.base, "merged": change.merged}
