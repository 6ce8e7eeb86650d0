"""Earlier runs: the nearest one, to compare a new run with, and those that trained the very same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tfd.jobfile import helm
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.schema import class_of
from tfd.review.analysis.key_changes import UNSET, KeyChange, effective
from tfd.review.sources.git import Entry, Repository
from tfd.review.sources.job_files import FOLDER, Job, is_job_path, job_of
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering

# A sweep over the number of tasks is not rendered as a whole for one more.
MOST_UNSURE = 20


@dataclass
class Earlier:
    """All runs that were merged before."""

    renderer: Renderer
    jobs: list[Job]
    deleted: list[Job]
    """What the history deleted; the newest of each path."""
    added: list[Job]
    """What the pull request adds."""
    _identities: dict[str, dict[Key, Any]] = field(default_factory=dict)

    def nearest(self, job: Job) -> Job | None:
        """Return the run that `job` resumes, else the run of its team that differs in the fewest identity keys."""
        mates = [other for other in self.jobs if other.team == job.team and other.path != job.path and not other.board]
        parents = [other for other in mates if other.run == job.values.get("warmStartFrom")]
        mine = self._identity(job)
        return min(
            parents or mates, key=lambda other: (_distance(mine, self._identity(other)), _newest(other)), default=None
        )

    def same(self, job: Job) -> Iterator[Job]:
        """Yield the runs with the identity hash of `job`.

        The same identity keys make the same hash. Only where one file names a number of tasks and the other leaves it
        to the chart, Helm has to tell.
        """
        mine = self._identity(job)
        unsure = 0
        for other in [*self.jobs, *self.deleted, *self.added]:
            theirs = self._identity(other)
            if other.path == job.path or other.board or _without_replicas(mine) != _without_replicas(theirs):
                continue
            both = [key for key in mine.keys() & theirs.keys() if key[-1] == "replicas"]
            if mine == theirs:
                yield other
            elif unsure < MOST_UNSURE and all(mine[key] == theirs[key] for key in both):
                unsure += 1
                if self._hash(other) == self._hash(job):
                    yield other

    def as_if(self, old: Job, new: Job) -> Rendering:
        """Return what `old` would render to under the name and in the state of `new`, to compare the two.

        Raises:
            HelmError: its chart refuses that.

        """
        entry = replace(new.entry, blob=f"{old.entry.blob}-as-{new.entry.blob}")
        data = json.dumps(old.values | {"state": new.state}).encode()
        return self.renderer.rendering(Job(entry, new.team, new.run, data))

    def _identity(self, job: Job) -> dict[Key, Any]:
        """Return the effective identity keys of a job file; a number of tasks only where it is written."""
        if job.entry.blob not in self._identities:
            folder = (self.renderer.chart(job) or self.renderer.charts.newest()).folder
            self._identities[job.entry.blob] = {
                key: repr(value)
                for key, value in effective(job.values, folder).items()
                if class_of(key, folder) == "identity"
            }
        return self._identities[job.entry.blob]

    def _hash(self, job: Job) -> str:
        try:
            return str(self.renderer.rendering(job).record["hash"])
        except helm.HelmError:
            return ""  # it never ran


def deleted_jobs(repository: Repository, commit: str) -> list[Job]:
    """Return the newest content of each job file that the history deleted and that is not there again."""
    newest: dict[str, str] = {}
    for path, blob in repository.deleted(commit, FOLDER):
        if is_job_path(path):
            newest.setdefault(path, blob)
    for path in repository.entries(commit, FOLDER):
        newest.pop(path, None)
    contents = repository.read(newest.values())
    return [
        job_of(Entry(path, "100644", blob, len(contents[blob])), contents[blob])
        for path, blob in sorted(newest.items())
    ]


def _without_replicas(identity: dict[Key, Any]) -> dict[Key, Any]:
    return {key: value for key, value in identity.items() if key[-1] != "replicas"}


def _distance(mine: dict[Key, Any], theirs: dict[Key, Any]) -> int:
    return sum(mine.get(key) != theirs.get(key) for key in mine.keys() | theirs.keys())


def _newest(job: Job) -> list[tuple[int, str]]:
    """Return a sort key that puts run-10 before run-9: of equals the one with the higher number is the newer."""
    return [(-int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", job.run)]


def differences(old: Rendering, new: Rendering) -> list[KeyChange]:
    """Return where the identities of two renderings differ."""
    before, after = (_flat(rendering.record["identity"]) for rendering in (old, new))
    return [
        KeyChange(key, "identity", before.get(key, UNSET), after.get(key, UNSET))
        for key in sorted(before.keys() | after.keys(), key=str)
        if repr(before.get(key, UNSET)) != repr(after.get(key, UNSET))
    ]


def _flat(value: Any, key: Key = ()) -> dict[Key, Any]:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return {} if value is None else {key: value}
    return {place: leaf for name, child in value.items() for place, leaf in _flat(child, (*key, name)).items()}
