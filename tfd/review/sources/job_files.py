"""The job files of a tree: read as data, parsed once per content, never trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.review.sources.git import REGULAR_FILES, Entry, GitError, Repository

FOLDER = "jobs"
# A hundred thousand job files of a usual size.
MOST_BYTES = 64 * 1024 * 1024
# A team is a folder, a namespace and an AppProject.
_JOB_PATH = re.compile(
    rf"{FOLDER}/([a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?)/([a-z](?:[-a-z0-9]{{0,38}}[a-z0-9])?)\.yaml"
)


@dataclass(frozen=True)
class Job:
    """One file that the ApplicationSet of a team would read."""

    entry: Entry
    team: str
    run: str
    data: bytes

    @property
    def path(self) -> str:
        """Its path in the repository."""
        return self.entry.path

    @property
    def name(self) -> str:
        """How people name it: ``TEAM/RUN``."""
        return f"{self.team}/{self.run}"

    @cached_property
    def document(self) -> helm_yaml.Document | None:
        """What stands in it; None when that can't be read."""
        try:
            return helm_yaml.load(self.data.decode())
        except (helm_yaml.YamlError, UnicodeDecodeError):
            return None

    @property
    def values(self) -> dict[str, Any]:
        """Its values as written, without defaults; empty when it is no mapping."""
        return self.document.value if self.document and isinstance(self.document.value, dict) else {}

    @property
    def chart_version(self) -> str | None:
        """The version of the chart that it names; without one, Argo CD has nothing to render it with."""
        version = self.values.get("chartVersion")
        return version if isinstance(version, str) else None

    @property
    def state(self) -> str:
        """The state that it asks for."""
        return str(self.values.get("state", "active"))

    @property
    def board(self) -> bool:
        """Whether it trains nothing."""
        return self.values.get("strategy") == "None"


@dataclass(frozen=True)
class Tree:
    """All files below jobs/ of one tree."""

    jobs: dict[str, Job]
    refused: dict[str, str]
    """Path of each file there that can't be a job file, and why."""


def read_tree(repository: Repository, tree: str, known: Iterable[Job] = ()) -> Tree:
    """Return the job files of a tree; those of `known` with the same path and content are not read again.

    Raises:
        GitError: there are too many.

    """
    entries = repository.entries(tree, FOLDER).values()
    refused = {entry.path: why for entry in entries if (why := _refusal(entry))}
    kept = {job.path: job for job in known}
    wanted = [entry for entry in entries if entry.path not in refused and _JOB_PATH.fullmatch(entry.path)]
    unread = [entry.blob for entry in wanted if entry.path not in kept or kept[entry.path].entry != entry]
    if (size := sum(entry.size for entry in wanted)) > MOST_BYTES:
        raise GitError(
            f"{FOLDER}/: got {size:,} bytes of job files, but at most {MOST_BYTES:,} are read; delete old ones"
        )
    contents = repository.read(unread)
    jobs = {}
    for entry in wanted:
        jobs[entry.path] = kept[entry.path] if entry.blob not in contents else job_of(entry, contents[entry.blob])
    return Tree(jobs, refused)


def job_of(entry: Entry, data: bytes) -> Job:
    """Return the job file at a path that is one."""
    team, run = _JOB_PATH.fullmatch(entry.path).groups()  # type: ignore[union-attr]
    return Job(entry, team, run, data)


def is_job_path(path: str) -> bool:
    """Tell whether a path is that of a job file."""
    return _JOB_PATH.fullmatch(path) is not None


def _refusal(entry: Entry) -> str | None:
    """Return why a file below jobs/ can't be a job file though the ApplicationSet may take it for one."""
    if not entry.path.endswith((".yaml", ".yml")):
        return None
    if not is_job_path(entry.path):
        return (
            "got this path, but a job file is jobs/TEAM/RUN.yaml: TEAM a namespace (at most 63 of a-z, 0-9 and -), "
            "RUN at most 40 of a-z, 0-9 and - with a letter first; move or rename it"
        )
    if entry.mode not in REGULAR_FILES:
        return f"got git mode {entry.mode}, but a job file is a plain file; replace the link with its content"
    if entry.size > helm_yaml.MAX_BYTES:
        most = f"at most {helm_yaml.MAX_BYTES:,} are read"
        return f"got {entry.size:,} bytes, but {most}; put code into an image or code.git"
    return None
