"""The Applications that Argo CD would have: an emulation of the ApplicationSet of each team.

It follows argocd/templates/teams/runs.yaml and the source of Argo CD 3.6 (parseFileParams, Reconcile and
createOrUpdateInCluster below its applicationset/); tests/e2e/test_gitops_emulated.py holds it against the real one.
Argo CD takes more than what may be a job file: an empty file is an Application without values, a list is one for each
of its elements.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.review.sources.charts import CHART, tag
from tfd.review.sources.job_files import Job, Tree

Application = dict[str, Any]

# What the files generator of a team takes; files of folders below are excluded.
_TAKEN = re.compile(r"jobs/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/[^/]*\.yaml", re.DOTALL)
# Of a number, the powers of ten that Go prints without an exponent.
_PLAIN = range(-4, 6)


@dataclass(frozen=True)
class Stop:
    """A file over which the ApplicationSet of its team stops: nothing of the team changes until it is mended."""

    team: str
    path: str
    why: str


@dataclass(frozen=True)
class Emulation:
    """What all ApplicationSets together make of a tree."""

    made: dict[str, Application]
    """By name, those of stopped teams too."""
    stops: list[Stop]

    @property
    def stopped(self) -> set[str]:
        """The teams of which nothing changes."""
        return {stop.team for stop in self.stops}

    @property
    def applications(self) -> dict[str, Application]:
        """Those that there are after it, without the stopped teams': these stay what they are, whatever that is."""
        stopped = self.stopped
        return {name: each for name, each in self.made.items() if each["project"] not in stopped}

    def deletes(self, there: Mapping[str, Application]) -> list[str]:
        """Return the names of those that it deletes of what is there."""
        stopped = self.stopped
        return [name for name in sorted(there.keys() - self.made.keys()) if there[name]["project"] not in stopped]


def emulate(tree: Tree, not_deployed: Collection[str], there: Mapping[str, Application]) -> Emulation:
    """Return what Argo CD makes of a tree.

    Args:
        tree: what is below jobs/.
        not_deployed: the folders without an ApplicationSet.
        there: the Applications that there are already; no set takes one of another team.

    """
    jobs = [job for job in tree.jobs.values() if job.team not in not_deployed]
    stops = [
        Stop(taken[1], path, why)
        for path, why in tree.refused.items()
        if (taken := _TAKEN.fullmatch(path)) and taken[1] not in not_deployed
    ]
    made = []
    for job in jobs:
        try:
            found = contents(job)
        except ValueError as error:
            stops.append(Stop(job.team, job.path, str(error)))
        else:
            # Several of one name, as a list makes them, are all invalid: what is there stays as it is.
            made += [(job, application(job, found[0]))] if len(found) == 1 else []
            made += [(job, there[name_of(job)])] if len(found) > 1 and name_of(job) in there else []
    claims = Counter(each["name"] for _, each in made)
    for job, each in made:
        owner = there.get(each["name"], {}).get("project")
        if claims[each["name"]] > 1 and owner != job.team:
            stops.append(Stop(job.team, job.path, f"another team has the Application {each['name']}"))
    # Of two that claim one name, the team that is not stopped comes last.
    stopped = {stop.team for stop in stops}
    made.sort(key=lambda one: (one[1]["name"], one[0].team not in stopped, one[0].path))
    return Emulation({each["name"]: each for _, each in made}, sorted(stops, key=lambda stop: stop.path))


def name_of(job: Job) -> str:
    """Return the name of a run's Application; all teams share one namespace for them."""
    return f"{job.team}-{job.run}"


def contents(job: Job) -> list[dict[str, Any]]:
    """Return the mappings that the files generator finds in a file; it makes an Application of each.

    Raises:
        ValueError: it finds something else, and stops.

    """
    if job.document:
        value = job.document.value
    else:
        try:
            value = helm_yaml.load(job.data.decode(), strict=False).value
        except (helm_yaml.YamlError, UnicodeDecodeError):
            raise ValueError("it can't be read") from None
    found = value if isinstance(value, list) else [value]
    if not all(each is None or isinstance(each, dict) for each in found):
        raise ValueError("it is no mapping")
    return [each or {} for each in found]


def application(job: Job, values: dict[str, Any]) -> Application:
    """Return the Application of a file, as far as the file decides about it."""
    return {
        "name": name_of(job),
        "project": job.team,
        "source": {
            "targetRevision": f"refs/tags/{tag(_version(values.get('chartVersion')))}",
            "path": CHART,
            "helm": {
                "releaseName": job.run,
                # A string there, that holds them as JSON.
                "values": {key: value for key, value in values.items() if key != "path"},
            },
        },
        "destination": {"namespace": job.team},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": False}},
    }


def _version(value: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    """Return what `get . "chartVersion" | default "CHARTVERSION-IS-NOT-SET"` prints; default replaces what is empty."""
    return _printed(value) if value else "CHARTVERSION-IS-NOT-SET"


def _printed(value: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    """Return a value as a Go template prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "<nil>"}[value]
    if isinstance(value, str):
        return value
    shortest = Decimal(repr(float(value))).normalize()
    digits = len(shortest.as_tuple().digits)
    return f"{shortest:f}" if shortest.adjusted() in _PLAIN or not value else f"{float(value):.{digits - 1}e}"
