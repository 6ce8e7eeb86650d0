"""Earlier runs: the nearest one, to compare a new run with, and those that trained the very same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tfd import helm
from tfd.helmyaml import Key
from tfd.review.git import Entry, Repository
from tfd.review.jobs import FOLDER, Job, is_job_path, job_of
from tfd.review.keys import UNSET, KeyChange, effective
from tfd.review.renderer import Renderer
from tfd.review.rendering import Rendering
from tfd.schema import class_of


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
        parents = [other for other in mates if other.run == job.values.get("resumeFrom")]
        mine = self._identity(job)
        return min(
            parents or mates, key=lambda other: (_distance(mine, self._identity(other)), _newest(other)), default=None
        )

    def same(self, job: Job) -> Iterator[Job]:
        """Yield the runs with the identity hash of `job`.

        Only what agrees with it in each identity key, as far as that can be told without Helm, is rendered.
        """
        mine = self._identity(job)
        digest = self.renderer.rendering(job).record["hash"]
        for other in [*self.jobs, *self.deleted, *self.added]:
            if other.path != job.path and not other.board and self._identity(other) == mine:
                try:
                    if self.renderer.rendering(other).record["hash"] == digest:
                        yield other
                except helm.HelmError:
                    continue  # never ran either

    def as_if(self, old: Job, new: Job) -> Rendering:
        """Return what `old` would render to under the name and in the state of `new`, to compare the two.

        Raises:
            HelmError: its chart refuses that.

        """
        entry = replace(new.entry, blob=f"{old.entry.blob}-as-{new.entry.blob}")
        data = json.dumps(old.values | {"state": new.state}).encode()
        return self.renderer.rendering(Job(entry, new.team, new.run, data))

    def _identity(self, job: Job) -> dict[Key, Any]:
        """Return the effective identity keys of a job file; the number of tasks is for the chart to tell."""
        if job.entry.blob not in self._identities:
            folder = (self.renderer.chart(job) or self.renderer.charts.newest()).folder
            self._identities[job.entry.blob] = {
                key: repr(value)
                for key, value in effective(job.values, folder).items()
                if class_of(key, folder) == "identity" and key[-1] != "replicas"
            }
        return self._identities[job.entry.blob]


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
