"""Earlier runs: the nearest one to compare a new run with, and those with the same identity."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from tfd.jobfile import helm
from tfd.jobfile.helm_yaml import MAX_BYTES, Key
from tfd.jobfile.schema import class_of, defaults, merged
from tfd.kinds import RUN
from tfd.review.analysis.key_changes import UNSET, KeyChange, leaves
from tfd.review.sources.git import REGULAR_FILES, Entry, Repository
from tfd.review.sources.job_files import CommittedJobFile, is_job_path, job_of
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering

# Limits the renderings for one new run of a sweep over the number of tasks.
MOST_RENDERED = 20
# Of the deleted job files, the newest are read. Nobody has reviewed each commit of a merged pull request.
MOST_DELETED_BYTES = 4 * 1024 * 1024
MOST_DELETED_VALUES = 100_000
_VALUES_OF_AN_UNREADABLE_FILE = 2_000


@dataclass
class Deleted:
    """The job files that were deleted from the base branch and not added again. They are read when a run is added."""

    repository: Repository
    commit: str

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The newest version of each file, by path; the file that was deleted last comes first."""
        found: dict[str, Entry] = {}
        for entry in self.repository.deleted(self.commit, RUN.folder):
            if is_job_path(entry.path) and entry.mode in REGULAR_FILES:
                found.setdefault(entry.path, entry)
        present = self.repository.entries(self.commit, RUN.folder) if found else {}
        return {path: entry for path, entry in found.items() if path not in present}

    @cached_property
    def jobs(self) -> list[CommittedJobFile]:
        """The newest files that can be read within the limits. A file that is not among them is unknown."""
        if not self.entries:
            return []
        sizes = self.repository.sizes(entry.blob for entry in self.entries.values())
        small = [entry for entry in self.entries.values() if sizes.get(entry.blob, MAX_BYTES + 1) <= MAX_BYTES]
        totals = accumulate(sizes[entry.blob] for entry in small)
        read = [entry for entry, total in zip(small, totals, strict=True) if total <= MOST_DELETED_BYTES]
        contents = self.repository.read(entry.blob for entry in read)
        found, values = [], 0
        for entry in read:
            job = job_of(replace(entry, size=sizes[entry.blob]), contents[entry.blob])
            values += len(job.document.positions) if job.document else _VALUES_OF_AN_UNREADABLE_FILE
            if values > MOST_DELETED_VALUES:
                break
            found.append(job)
        return sorted(found, key=lambda job: job.path)


@dataclass
class History:
    """All runs that were ever merged, and the new ones of the pull request."""

    renderer: Renderer
    jobs: list[CommittedJobFile]
    deleted: Deleted | None
    added: list[CommittedJobFile]
    """Job files that the pull request adds."""
    _identities: dict[str, dict[Key, Any]] = field(default_factory=dict)
    _blocks: dict[tuple[Path, str, str], dict[Key, Any]] = field(default_factory=dict)

    @property
    def deleted_paths(self) -> Collection[str]:
        """The paths of all deleted job files."""
        return self.deleted.entries if self.deleted else ()

    def nearest(self, job: CommittedJobFile) -> CommittedJobFile | None:
        """Return the warm-start parent of `job`, else the run of its team with the fewest different identity keys."""
        mates = [other for other in self.jobs if other.team == job.team and other.path != job.path]
        parents = [other for other in mates if other.run == job.values.get("warmStartFrom")]
        mine = self._identity(job)
        return min(
            parents or mates, key=lambda other: (_distance(mine, self._identity(other)), _newest(other)), default=None
        )

    def same_identity(self, job: CommittedJobFile) -> Iterator[CommittedJobFile]:
        """Yield the runs with the identity hash of `job`.

        Equal identity keys give equal hashes. Helm renders both files only where one sets a number of tasks and the
        other leaves it to the chart.
        """
        mine = self._identity(job)
        renderings = 0
        for other in self._of_one_training.get(_without_replicas(mine), []):
            theirs = self._identity(other)
            if other.path == job.path:
                continue
            both = [key for key in mine.keys() & theirs.keys() if key[-1] == "replicas"]
            if mine == theirs:
                yield other
            elif renderings < MOST_RENDERED and all(mine[key] == theirs[key] for key in both):
                renderings += 1
                if self._hash(other) == self._hash(job):
                    yield other

    @cached_property
    def _of_one_training(self) -> dict[frozenset[tuple[Key, Any]], list[CommittedJobFile]]:
        """All runs, by their identity without the numbers of tasks."""
        found: dict[frozenset[tuple[Key, Any]], list[CommittedJobFile]] = {}
        for job in [*self.jobs, *(self.deleted.jobs if self.deleted else ()), *self.added]:
            found.setdefault(_without_replicas(self._identity(job)), []).append(job)
        return found

    def rendered_as(self, earlier: CommittedJobFile, new: CommittedJobFile) -> Rendering:
        """Return the rendering of `earlier` with the name and the state of `new`, to compare the two.

        Raises:
            HelmError: the chart of `earlier` refuses that.

        """
        entry = replace(new.entry, blob=f"{earlier.entry.blob}-as-{new.entry.blob}")
        data = json.dumps(earlier.values | {"state": new.state}).encode()
        return self.renderer.rendering(CommittedJobFile(entry, new.team, new.run, data))

    def _identity(self, job: CommittedJobFile) -> dict[Key, Any]:
        """Return the effective identity keys of a job file; a number of tasks only where the file sets it."""
        if job.entry.blob not in self._identities:
            folder = (self.renderer.chart(job) or self.renderer.newest(job)).folder
            with self.renderer.budget.at(job.path):
                found: dict[Key, Any] = {}
                for name in defaults(folder).keys() | job.values.keys():
                    found |= self._block(folder, name, job.values)
                self._identities[job.entry.blob] = found
        return self._identities[job.entry.blob]

    def _block(self, folder: Path, name: str, values: dict[str, Any]) -> dict[Key, Any]:
        """Return the effective identity keys below one key of a job file. Most files share most of these blocks."""
        written = {name: values[name]} if name in values else {}
        place = folder, name, json.dumps(written)
        if place not in self._blocks:
            default = {name: defaults(folder)[name]} if name in defaults(folder) else {}
            self._blocks[place] = {
                key: repr(value)
                for key, value in leaves(merged(default, written))
                if class_of(key, folder) == "identity"
            }
        return self._blocks[place]

    def _hash(self, job: CommittedJobFile) -> str:
        try:
            return str(self.renderer.rendering(job).record["hash"])
        except helm.RefusedError:
            return ""  # The run never started.


def _without_replicas(identity: dict[Key, Any]) -> frozenset[tuple[Key, Any]]:
    return frozenset((key, value) for key, value in identity.items() if key[-1] != "replicas")


def _distance(mine: dict[Key, Any], theirs: dict[Key, Any]) -> int:
    return sum(mine.get(key) != theirs.get(key) for key in mine.keys() | theirs.keys())


def _newest(job: CommittedJobFile) -> list[tuple[int, str]]:
    """Return a sort key that puts run-10 before run-9, because the higher number is the newer run."""
    return [(-int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", job.run)]


def differences(base: Rendering, merged: Rendering) -> list[KeyChange]:
    """Return the identity keys that differ between two renderings."""
    base_keys, merged_keys = (_flat(rendering.record["identity"]) for rendering in (base, merged))
    return [
        KeyChange(key, "identity", base_keys.get(key, UNSET), merged_keys.get(key, UNSET))
        for key in sorted(base_keys.keys() | merged_keys.keys(), key=str)
        if repr(base_keys.get(key, UNSET)) != repr(merged_keys.get(key, UNSET))
    ]


def _flat(value: Any, key: Key = ()) -> dict[Key, Any]:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return {} if value is None else {key: value}
    return {place: leaf for name, child in value.items() for place, leaf in _flat(child, (*key, name)).items()}
