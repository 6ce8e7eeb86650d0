"""Emulates the ApplicationSets of each team, to list the Applications that Argo CD would have.

It follows two sources:

- argocd/templates/teams/runs.yaml and workbenches.yaml
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
from tfd.kinds import FOLDERS, RUN, WORKBENCH, Kind, kind_in
from tfd.review.sources.charts import tag
from tfd.review.sources.job_files import CommittedJobFile, Tree

Application = dict[str, Any]

# The files that the generator of a team reads; files of folders below are excluded.
_READ = re.compile(rf"(?:{'|'.join(FOLDERS)})/([a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?)/[^/]*\.yaml", re.DOTALL)
_Set = tuple[str, str]
"""An ApplicationSet: the folder of its files, and its team."""
_NO_VERSION = "CHARTVERSION-IS-NOT-SET"


@dataclass(frozen=True)
class BlockedTeam:
    """A file that stops an ApplicationSet of its team: nothing in the set changes until the file is fixed."""

    team: str
    path: str
    why: str

    @property
    def kind(self) -> Kind:
        """What the ApplicationSet creates: runs or workbenches."""
        return kind_in(self.path)


@dataclass(frozen=True)
class Emulation:
    """The result of all ApplicationSets for one tree."""

    generated: dict[str, Application]
    """By name, including those of blocked ApplicationSets."""
    blocked: list[BlockedTeam]

    @property
    def _blocked_sets(self) -> set[_Set]:
        return {(each.kind.folder, each.team) for each in self.blocked}

    def blocks(self, job: CommittedJobFile) -> bool:
        """Return whether a file blocks the ApplicationSet of `job`."""
        return (job.kind.folder, job.team) in self._blocked_sets

    @property
    def applications(self) -> dict[str, Application]:
        """The Applications of all ApplicationSets that are not blocked; Argo CD leaves the others unchanged."""
        blocked = self._blocked_sets
        return {name: each for name, each in self.generated.items() if _set_of(each) not in blocked}

    def deleted(self, base: Mapping[str, Application]) -> list[str]:
        """Return the names of the Applications of `base` that Argo CD deletes."""
        blocked = self._blocked_sets
        return [name for name in sorted(base.keys() - self.generated.keys()) if _set_of(base[name]) not in blocked]


def _set_of(application: Application) -> _Set:
    # The names of teams and runs have no dot.
    is_run = "." not in application["name"]
    return (RUN if is_run else WORKBENCH).folder, application["project"]


def emulate(
    tree: Tree, not_deployed: Collection[str], base: Mapping[str, Application], registry: str = ""
) -> Emulation:
    """Return what Argo CD generates from a tree.

    Args:
        tree: the files of the teams.
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
    sets = {(each.kind.folder, each.team) for each in blocked}
    generated.sort(key=lambda one: (one[1]["name"], _set_of(one[1]) not in sets, one[0].path))
    return Emulation({each["name"]: each for _, each in generated}, sorted(blocked, key=lambda each: each.path))


def name_of(job: CommittedJobFile) -> str:
    """Return the name of the Application of a file; all teams share one namespace for Applications."""
    return f"{job.team}-{job.run}" if job.kind is RUN else f"workbench.{job.team}.{job.run}"


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
            **_chart(version, registry, job.kind),
            "helm": {
                "releaseName": job.run,
                # In Argo CD this is a string that holds the values as JSON.
                "values": {key: value for key, value in values.items() if key != "path"},
            },
        },
        "destination": {"namespace": job.team},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": job.kind is not RUN}},
    }


def _chart(version: str, registry: str, kind: Kind) -> dict[str, str]:
    """Return the fields of a source that select the chart. A git tag is one of the repository of the job files."""
    if registry:
        return {"repoURL": f"{registry}/{kind.released}", "targetRevision": version, "path": "."}
    return {"targetRevision": f"refs/tags/{tag(version)}", "path": kind.chart}
