"""All runs of a repository together: what they share, and the sum of their requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tfd.jobfile import helm
from tfd.jobfile.schema import defaults, merged
from tfd.kinds import RUN
from tfd.kubernetes import CLAIM_END, ROLES
from tfd.review.analysis.argocd import name_of
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import ResourceRequest

# The keys that the pods and the claims of a run depend on, as far as they count for a team. code and storage count
# in part: an init container fetches a commit, and only a new claim or none changes the pods.
_TOPOLOGY = ("strategy", "gpu", "state", "tensorboard", *ROLES)


def output_directory(job: CommittedJobFile) -> str | None:
    """Return the output directory of a run, unique over all teams; None when no other run can share it."""
    storage = job.values.get("storage")
    if job.kind is not RUN or not isinstance(storage, dict):
        return None
    if folder := bucket_folder(job):
        return f"{folder}/{job.run}"
    claim = f"{job.run}{CLAIM_END}" if "create" in storage else storage.get("claim")
    return f"claim {claim} of {job.team}/{job.run}" if claim else None


def bucket_folder(job: CommittedJobFile) -> str | None:
    """Return the folder of a bucket that holds the runs of a job file; None for other storage."""
    storage = job.values.get("storage")
    uri = storage.get("uri", storage.get("path")) if isinstance(storage, dict) else None
    return uri if isinstance(uri, str) and uri else None


def sharing_output(job: CommittedJobFile, jobs: Iterable[CommittedJobFile]) -> Iterator[tuple[CommittedJobFile, str]]:
    """Yield every other run whose output directory equals, contains or is inside the directory of `job`."""
    mine = output_directory(job)
    for other in jobs:
        theirs = output_directory(other)
        if (
            mine
            and theirs
            and other.path != job.path
            and (f"{mine}/".startswith(f"{theirs}/") or theirs.startswith(f"{mine}/"))
        ):
            yield other, theirs


def of_one_name(job: CommittedJobFile, jobs: Iterable[CommittedJobFile]) -> list[CommittedJobFile]:
    """Return the runs of other teams that have the name of the run `job`."""
    runs = [other for other in jobs if other.kind is RUN] if job.kind is RUN else []
    return [other for other in runs if other.run == job.run and other.team != job.team]


def of_one_application(job: CommittedJobFile, jobs: Iterable[CommittedJobFile]) -> list[CommittedJobFile]:
    """Return the other runs whose Application has the same name: a-b/c and a/b-c both give a-b-c."""
    return [other for other in jobs if other.path != job.path and name_of(other) == name_of(job)]


@dataclass
class Totals:
    """What all runs of a team request together.

    Runs of one topology request the same, so only one of each is rendered: one that the review renders anyway, if any.
    """

    renderer: Renderer
    _topologies: dict[tuple[str, str], str] = field(default_factory=dict)
    _known: dict[str, Rendering] = field(default_factory=dict)

    def examples(self, jobs: Iterable[CommittedJobFile]) -> list[CommittedJobFile]:
        """Return one job file of each topology, which `of` renders."""
        return [same[0] for same in self._groups(jobs).values()]

    def of(self, jobs: Iterable[CommittedJobFile]) -> ResourceRequest:
        """Return the sum over the running pods and new claims of runs, without GPU-hours."""
        running = (each.running for each in self.renderings(jobs).values())
        return replace(sum(running, start=ResourceRequest()), gpu_hours=0)

    def renderings(self, jobs: Iterable[CommittedJobFile]) -> dict[str, Rendering]:
        """Return, by the path of each run, a rendering with the pods of the run. Its names may be those of another."""
        return {
            job.path: example
            for topology, same in self._groups(jobs).items()
            if (example := self._example(topology, same))
            for job in same
        }

    def _example(self, topology: str, same: list[CommittedJobFile]) -> Rendering | None:
        for job in same if topology not in self._known else ():
            with suppress(helm.RefusedError):  # A file that the chart refuses starts nothing.
                self._known[topology] = self.renderer.rendering(job)
                break
        return self._known.get(topology)

    def _groups(self, jobs: Iterable[CommittedJobFile]) -> dict[str, list[CommittedJobFile]]:
        """Return the runs that have a chart by their topology, in each group first those that are rendered already."""
        found: dict[str, list[CommittedJobFile]] = {}
        for job in sorted(jobs, key=lambda each: not self.renderer.knows(each)):
            key = job.path, job.entry.blob
            if key not in self._topologies:
                chart = self.renderer.chart(job)
                values = merged(defaults(chart.folder), job.values) if chart else {}
                self._topologies[key] = f"{chart.folder} {_topology(job, values)}" if chart else ""
            found.setdefault(self._topologies[key], []).append(job)
        found.pop("", None)
        return found


def _topology(job: CommittedJobFile, values: dict[str, Any]) -> str:
    """Return all that decides how much a file requests, as text. Most keys of a workbench file do."""
    return topology_of(values) if job.kind is RUN else json.dumps(values, sort_keys=True)


def topology_of(values: dict[str, Any]) -> str:
    """Return all that decides how much a run with these values requests, as text."""
    kept = {key: values.get(key) for key in _TOPOLOGY}
    storage, code, board = (values.get(key) for key in ("storage", "code", "tensorboard"))
    if isinstance(storage, dict):
        kept["storage"] = [storage.get("create"), storage.get("ephemeral")]
    if isinstance(code, dict):
        kept["code"] = bool(code.get("git"))
    if isinstance(board, dict):
        kept["tensorboard"] = {key: value for key, value in board.items() if key != "image"}
    return json.dumps(kept, sort_keys=True)
