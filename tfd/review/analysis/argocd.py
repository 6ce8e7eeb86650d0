"""Emulates the ApplicationSet of each team, to list the Applications that Argo CD would have.

It follows two sources:

- argocd/templates/teams/runs.yaml
- Argo CD 3.6 below applicationset/: parseFileParams, Reconcile and createOrUpdateInCluster

tests/e2e/test_gitops_emulated.py compares the emulation with the real Argo CD.

Argo CD accepts more than a job file. An empty file gives an Application without values. A list gives one Application
for each of its elements.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.jobfile.registry import NAME
from tfd.review.sources.charts import CHART, tag
from tfd.review.sources.job_files import CommittedJobFile, Tree

Application = dict[str, Any]

# The files that the generator of a team reads; files of folders below are excluded.
_READ = re.compile(r"jobs/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/[^/]*\.yaml", re.DOTALL)
_NO_VERSION = "CHARTVERSION-IS-NOT-SET"


@dataclass(frozen=True)
class BlockedTeam:
    """A file that stops the ApplicationSet of its team: nothing of the team changes until the file is fixed."""

    team: str
    path: str
    why: str


@dataclass(frozen=True)
class Emulation:
    """The result of all ApplicationSets for one tree."""

    generated: dict[str, Application]
    """By name, including those of blocked teams."""
    blocked: list[BlockedTeam]

    @property
    def blocked_teams(self) -> set[str]:
        """The names of the blocked teams."""
        return {each.team for each in self.blocked}

    @property
    def applications(self) -> dict[str, Application]:
        """The Applications of all teams that are not blocked; Argo CD leaves those of a blocked team unchanged."""
        blocked = self.blocked_teams
        return {name: each for name, each in self.generated.items() if each["project"] not in blocked}

    def deleted(self, base: Mapping[str, Application]) -> list[str]:
        """Return the names of the Applications of `base` that Argo CD deletes."""
        blocked = self.blocked_teams
        return [name for name in sorted(base.keys() - self.generated.keys()) if base[name]["project"] not in blocked]


def emulate(
    tree: Tree, not_deployed: Collection[str], base: Mapping[str, Application], registry: str = ""
) -> Emulation:
    """Return what Argo CD generates from a tree.

    Args:
        tree: the files below jobs/.
        not_deployed: the folders without an ApplicationSet.
        base: the Applications that exist already; an ApplicationSet never takes over one of another team.
        registry: the folder of an OCI registry with the charts; empty if Argo CD takes them from git tags.

    """
    jobs = [job for job in tree.jobs.values() if job.team not in not_deployed]
    blocked = [
        BlockedTeam(read[1], path, why)
        for path, why in tree.refused.items()
        if (read := _READ.fullmatch(path)) and read[1] not in not_deployed
    ]
    generated = []
    for job in jobs:
        try:
            found = contents(job)
        except ValueError as error:
            blocked.append(BlockedTeam(job.team, job.path, str(error)))
        else:
            # Several Applications of one name, as a list gives, are all invalid, and an existing one stays as it is.
            generated += [(job, application(job, found[0], registry))] if len(found) == 1 else []
            generated += [(job, base[name_of(job)])] if len(found) > 1 and name_of(job) in base else []
    claims = Counter(each["name"] for _, each in generated)
    for job, each in generated:
        owner = base.get(each["name"], {}).get("project")
        if claims[each["name"]] > 1 and owner != job.team:
            blocked.append(BlockedTeam(job.team, job.path, f"another team has the Application {each['name']}"))
    # Of two teams that claim one name, the team that is not blocked wins, so it comes last.
    teams = {each.team for each in blocked}
    generated.sort(key=lambda one: (one[1]["name"], one[0].team not in teams, one[0].path))
    return Emulation({each["name"]: each for _, each in generated}, sorted(blocked, key=lambda each: each.path))


def name_of(job: CommittedJobFile) -> str:
    """Return the name of the Application of a run; all teams share one namespace for Applications."""
    return f"{job.team}-{job.run}"


def contents(job: CommittedJobFile) -> list[dict[str, Any]]:
    """Return the mappings that the files generator reads from a file; each gives an Application.

    Raises:
        ValueError: the generator refuses the file.

    """
    if job.document:
        value = job.document.value
    else:
        try:
            value = helm_yaml.load(job.data.decode(), strict=False).value
        except (helm_yaml.YamlError, UnicodeDecodeError):
            raise ValueError("the file cannot be read") from None
    found = value if isinstance(value, list) else [value]
    if not all(each is None or isinstance(each, dict) for each in found):
        raise ValueError("the file is not a mapping")
    return [each or {} for each in found]


def application(job: CommittedJobFile, values: dict[str, Any], registry: str) -> Application:
    """Return the part of an Application that depends on the job file.

    A `chartVersion` that is not a string selects no chart. The schema refuses it, so its exact text does not matter.
    """
    version = values.get("chartVersion")
    version = version if version and isinstance(version, str) else _NO_VERSION
    return {
        "name": name_of(job),
        "project": job.team,
        "source": {
            **_chart(version, registry),
            "helm": {
                "releaseName": job.run,
                # In Argo CD this is a string that holds the values as JSON.
                "values": {key: value for key, value in values.items() if key != "path"},
            },
        },
        "destination": {"namespace": job.team},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": False}},
    }


def _chart(version: str, registry: str) -> dict[str, str]:
    """Return the fields of a source that select the chart. A git tag is one of the repository of the job files."""
    if registry:
        return {"repoURL": f"{registry}/{NAME}", "targetRevision": version, "path": "."}
    return {"targetRevision": f"refs/tags/{tag(version)}", "path": CHART}
