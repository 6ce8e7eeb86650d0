"""The chart that renders a file: the one that its chartVersion selects for Argo CD."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.jobfile.registry import cache_of, pull
from tfd.kinds import RUN, Kind
from tfd.review.sources.git import GitError, Repository
from tfd.review.sources.once import Once

_CHARTS = "charts"
SETTINGS = "argocd/values.yaml"
_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")
_REGISTRY = re.compile(r"oci://[a-z0-9][-._:a-z0-9]*(/[a-z0-9][-._a-z0-9]*)*")


def tag(version: str) -> str:
    """Return the git tag of a chart version."""
    return f"tf-distributed-{version}"


@dataclass(frozen=True)
class Chart:
    """One version of a chart: exported from git, downloaded, or installed with tfd."""

    folder: Path
    version: str
    released: bool
    """Whether Argo CD finds it: as a git tag, or in the registry."""


@dataclass
class Charts:
    """The charts that a repository uses for each kind of file: its own, or those of the OCI registry of argocd/.

    Its own are those at its tags and on the base branch, never those of the pull request. The chart that is installed
    with tfd replaces the chart of a base branch that has none.
    """

    repository: Repository
    base: str
    folder: Path
    _known: Once[Chart | None] = field(default_factory=Once)
    _exported: Once[Chart] = field(default_factory=Once)
    _read: Once[str] = field(default_factory=Once)

    @property
    def registry(self) -> str:
        """The folder of an OCI registry from which Argo CD takes charts; empty if it takes them from git tags."""

        def read() -> str:
            try:
                values = helm_yaml.load(self._text(SETTINGS)).value
                found = values["chart"]["oci"]
            except (helm_yaml.YamlError, UnicodeDecodeError, KeyError, TypeError):
                return ""  # What cannot be read is reported with the queues of the teams.
            return found if isinstance(found, str) and _REGISTRY.fullmatch(found) else ""

        return self._read.get(SETTINGS, read)

    def newest(self, kind: Kind) -> Chart:
        """Return the chart of the base branch, at its tag if there is one; with a registry, the one of this tfd."""
        if self.registry:
            return Chart(kind.shipped, self._base_version(kind), released=True)
        return self.of(self._base_version(kind), kind) or self._export(self.base, kind, released=False)

    def of(self, version: str, kind: Kind) -> Chart | None:
        """Return the chart of a version; None if neither the registry nor the repository has it.

        Raises:
            RegistryError: the registry does not answer.

        """

        def found() -> Chart | None:
            if registry := self.registry:
                folder = pull(registry, version, cache_of(registry), kind.released)
                return Chart(folder, version, released=True) if folder else None
            try:
                commit = self.repository.commit(f"refs/tags/{tag(version)}")
            except GitError:
                return self._export(self.base, kind, released=False) if version == self._base_version(kind) else None
            return self._export(commit, kind, released=True) if self._has(commit, kind) else None

        return self._known.get((version, kind.chart), found)

    def selected_by(self, values: dict[str, Any], kind: Kind) -> Chart | None:
        """Return the chart that a file selects with chartVersion; without one, the chart of the base branch."""
        version = values.get("chartVersion")
        if isinstance(version, str) and _VERSION.fullmatch(version):
            return self.of(version, kind)
        return self.newest(kind)

    def _has(self, commit: str, kind: Kind) -> bool:
        """Return whether the release at a commit has a chart: an old one has none of workbenches."""
        charts = {path.rpartition("/")[0] for path in self.repository.entries(commit, _CHARTS)}
        return kind.chart in charts or RUN.chart not in charts

    def _base_version(self, kind: Kind) -> str:
        def read() -> str:
            own = "" if self.registry else self._text(f"{kind.chart}/Chart.yaml")
            return _version(own or (kind.shipped / "Chart.yaml").read_text(encoding="utf-8"))

        return self._read.get(kind.chart, read)

    def _text(self, path: str) -> str:
        """Return a file of the base branch; an empty text if there is none."""
        entry = self.repository.entries(self.base, path).get(path)
        helm_yaml.refuse_size(entry.size if entry else 0)
        return self.repository.read([entry.blob])[entry.blob].decode() if entry else ""

    def _export(self, commit: str, kind: Kind, *, released: bool) -> Chart:
        def written() -> Chart:
            target = self.folder / commit
            self.repository.export(commit, kind.chart, target)
            folder = target / kind.chart if (target / kind.chart / "Chart.yaml").exists() else kind.shipped
            return Chart(folder, _version((folder / "Chart.yaml").read_text(encoding="utf-8")), released)

        return self._exported.get((commit, kind.chart, released), written)


def _version(text: str) -> str:
    return str(helm_yaml.load(text).value["version"])
