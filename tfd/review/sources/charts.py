"""The chart that renders a run: the one that its chartVersion selects for Argo CD."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml
from tfd.jobfile.registry import cache_of, pull
from tfd.review.sources.git import GitError, Repository
from tfd.review.sources.once import Once

CHART = "charts/tf-distributed"
SETTINGS = "argocd/values.yaml"
_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")
_REGISTRY = re.compile(r"oci://[a-z0-9][-._:a-z0-9]*(/[a-z0-9][-._a-z0-9]*)*")


def tag(version: str) -> str:
    """Return the git tag of a chart version."""
    return f"tf-distributed-{version}"


@dataclass(frozen=True)
class Chart:
    """One version of the chart: exported from git, downloaded, or installed with tfd."""

    folder: Path
    version: str
    released: bool
    """Whether Argo CD finds it: as a git tag, or in the registry."""


@dataclass
class Charts:
    """The charts that a repository uses: its own, or those of the OCI registry in argocd/values.yaml.

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

    def newest(self) -> Chart:
        """Return the chart of the base branch, at its tag if there is one; with a registry, the one of this tfd."""
        if self.registry:
            return Chart(assets.CHART, self._base_version(), released=True)
        return self.of(self._base_version()) or self._export(self.base, released=False)

    def of(self, version: str) -> Chart | None:
        """Return the chart of a version; None if neither the registry nor the repository has it.

        Raises:
            RegistryError: the registry does not answer.

        """

        def found() -> Chart | None:
            if registry := self.registry:
                folder = pull(registry, version, cache_of(registry))
                return Chart(folder, version, released=True) if folder else None
            try:
                commit = self.repository.commit(f"refs/tags/{tag(version)}")
            except GitError:
                return self._export(self.base, released=False) if version == self._base_version() else None
            return self._export(commit, released=True)

        return self._known.get(version, found)

    def selected_by(self, values: dict[str, Any]) -> Chart | None:
        """Return the chart that a job file selects with chartVersion; without one, the chart of the base branch."""
        version = values.get("chartVersion")
        if isinstance(version, str) and _VERSION.fullmatch(version):
            return self.of(version)
        return self.newest()

    def _base_version(self) -> str:
        def read() -> str:
            own = "" if self.registry else self._text(f"{CHART}/Chart.yaml")
            return _version(own or (assets.CHART / "Chart.yaml").read_text(encoding="utf-8"))

        return self._read.get(CHART, read)

    def _text(self, path: str) -> str:
        """Return a file of the base branch; an empty text if there is none."""
        entry = self.repository.entries(self.base, path).get(path)
        helm_yaml.refuse_size(entry.size if entry else 0)
        return self.repository.read([entry.blob])[entry.blob].decode() if entry else ""

    def _export(self, commit: str, *, released: bool) -> Chart:
        def written() -> Chart:
            target = self.folder / commit
            self.repository.export(commit, CHART, target)
            folder = target / CHART if (target / CHART / "Chart.yaml").exists() else assets.CHART
            return Chart(folder, _version((folder / "Chart.yaml").read_text(encoding="utf-8")), released)

        return self._exported.get((commit, released), written)


def _version(text: str) -> str:
    return str(helm_yaml.load(text).value["version"])
