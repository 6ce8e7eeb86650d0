"""Reads the job files and the workbench files of a tree as untrusted data, and parses each content once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.kinds import FOLDERS, RUN, Kind, kind_in
from tfd.kubernetes import LONGEST_RUN
from tfd.review.sources.git import REGULAR_FILES, Entry, GitError, Repository
from tfd.text import refusal

# Enough for 100,000 job files of a typical size.
MOST_BYTES = 64 * 1024 * 1024
# A team is a folder, a namespace and an AppProject.
_JOB_PATH = re.compile(
    rf"(?:{'|'.join(FOLDERS)})/([a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?)/"
    rf"([a-z](?:[-a-z0-9]{{0,{LONGEST_RUN - 2}}}[a-z0-9])?)\.yaml"
)


@dataclass(frozen=True)
class CommittedJobFile:
    """A job file or a workbench file in a commit, which an ApplicationSet of its team reads."""

    entry: Entry
    team: str
    run: str
    data: bytes

    @property
    def path(self) -> str:
        """Its path in the repository."""
        return self.entry.path

    @property
    def kind(self) -> Kind:
        """Whether it defines a run or a workbench."""
        return kind_in(self.path)

    @property
    def name(self) -> str:
        """Its name for users: ``TEAM/RUN``."""
        return f"{self.team}/{self.run}"

    @cached_property
    def document(self) -> helm_yaml.Document | None:
        """The parsed YAML; None when it cannot be parsed."""
        try:
            return helm_yaml.load(self.data.decode())
        except (helm_yaml.YamlError, UnicodeDecodeError):
            return None

    @property
    def values(self) -> dict[str, Any]:
        """Its values as written, without defaults; empty when the file is not a mapping."""
        return self.document.value if self.document and isinstance(self.document.value, dict) else {}

    @property
    def chart_version(self) -> str | None:
        """The chart version that Argo CD renders it with; None when the file names none."""
        version = self.values.get("chartVersion")
        return version if isinstance(version, str) else None

    @property
    def state(self) -> str:
        """The requested state."""
        return str(self.values.get("state", "active"))


@dataclass(frozen=True)
class Tree:
    """All files of the teams in one tree."""

    jobs: dict[str, CommittedJobFile]
    refused: dict[str, str]
    """Refused files: the path of each, and the message without the path as its key."""


def read_tree(repository: Repository, tree: str, known: Iterable[CommittedJobFile] = ()) -> Tree:
    """Return the files of the teams in a tree; a file of `known` with the same path and content is not read again.

    Raises:
        GitError: the files are too large together.

    """
    entries = repository.entries(tree, *FOLDERS).values()
    refused = {entry.path: why for entry in entries if (why := _refusal(entry))}
    kept = {job.path: job for job in known}
    wanted = [entry for entry in entries if entry.path not in refused and _JOB_PATH.fullmatch(entry.path)]
    unread = [entry.blob for entry in wanted if entry.path not in kept or kept[entry.path].entry != entry]
    if (size := sum(entry.size for entry in wanted)) > MOST_BYTES:
        rule = f"at most {MOST_BYTES:,} bytes"
        raise GitError(refusal(f"{RUN.folder}/", f"{size:,} bytes of job files", rule, "Delete old job files."))
    contents = repository.read(unread)
    jobs = {}
    for entry in wanted:
        jobs[entry.path] = kept[entry.path] if entry.blob not in contents else job_of(entry, contents[entry.blob])
    return Tree(jobs, refused)


def job_of(entry: Entry, data: bytes) -> CommittedJobFile:
    """Return the file of an entry, which must have the path of a job file or a workbench file."""
    team, run = _JOB_PATH.fullmatch(entry.path).groups()  # type: ignore[union-attr]
    return CommittedJobFile(entry, team, run, data)


def is_job_path(path: str) -> bool:
    """Return whether a path is the path of a job file or a workbench file."""
    return _JOB_PATH.fullmatch(path) is not None


def _refusal(entry: Entry) -> str | None:
    """Return why a YAML file in a folder of job files is none, although an ApplicationSet may read it."""
    if not entry.path.endswith((".yaml", ".yml")):
        return None
    if not is_job_path(entry.path):
        kind = kind_in(entry.path)
        return (
            f"got this path; expected {kind.path} with lower-case letters, digits and hyphens. Move or "
            f"rename the file. Start {kind.name} with a letter, and use at most 63 characters for TEAM and "
            f"{LONGEST_RUN} for {kind.name}."
        )
    if entry.mode not in REGULAR_FILES:
        return f"got git mode {entry.mode}; expected a regular file. Replace the link with its content."
    if entry.size > helm_yaml.MAX_BYTES:
        rule = f"at most {helm_yaml.MAX_BYTES:,}"
        return f"got {entry.size:,} bytes; expected {rule}. Put code into an image or code.git."
    return None
