"""The Applications that Argo CD would have: an emulation of the ApplicationSet of each team.

One ApplicationSet per team has a git files generator over jobs/TEAM/*.yaml. It makes an Application of every file: the
chart at the git tag of the file's chartVersion, and the file's content as values. An error in one file stops the whole
set: nothing of that team is created, changed or deleted until it is mended.
"""

from __future__ import annotations

from typing import Any

from tfd.review.charts import CHART, tag
from tfd.review.jobs import Job


def name_of(job: Job) -> str:
    """Return the name of a run's Application; all teams share one namespace for them."""
    return f"{job.team}-{job.run}"


def application(job: Job) -> dict[str, Any]:
    """Return the Application of a job file that does not freeze its team."""
    return {
        "name": name_of(job),
        "project": job.team,
        "source": {
            "targetRevision": tag(job.values["chartVersion"]),
            "path": CHART,
            "helm": {
                "releaseName": job.run,
                "valuesObject": {key: value for key, value in job.values.items() if key != "path"},
            },
        },
        "destination": {"namespace": job.team},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": False}},
    }


def freezes(job: Job) -> str | None:
    """Return why a job file would stop the ApplicationSet of its team; None when it does not."""
    if job.document is None:
        return "it can't be read"
    if not isinstance(job.document.value, dict):
        return "it is no mapping"
    if not isinstance(job.values.get("chartVersion"), str):
        return "it has no chartVersion, which the ApplicationSet's template needs"
    return None
