"""The chart that renders a run: the one at the git tag of its chartVersion, as Argo CD uses it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml
from tfd.review.sources.git import GitError, Repository
from tfd.review.sources.once import Once

CHART = "charts/tf-distributed"
_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")


def tag(version: str) -> str:
    """Return the git tag of a chart version."""
    return f"tf-distributed-{version}"


@dataclass(frozen=True)
class Chart:
    """One version of the chart: exported from git, or installed with tfd."""

    folder: Path
    version: str
    released: bool
    """Whether its git tag exists; without the tag, Argo CD cannot render a run."""


@dataclass
class Charts:
    """The charts of a repository, from its tags and the base branch, never from the pull request.

    The chart that is installed with tfd replaces the chart of a base branch that has none.
    """

    repository: Repository
    base: str
    folder: Path
    _known: Once[Chart | None] = field(default_factory=Once)
    _exported: Once[Chart] = field(default_factory=Once)
    _versions: Once[str] = field(default_factory=Once)

    def newest(self) -> Chart:
        """Return the chart of the base branch, at its tag if there is one."""
        return self.of(self._base_version()) or self._export(self.base, released=False)

    def of(self, version: str) -> Chart | None:
        """Return the chart of a version: at its tag, else on the base branch; None if neither has that version."""

        def found() -> Chart | None:
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
            path = f"{CHART}/Chart.yaml"
            entry = self.repository.entries(self.base, path).get(path)
            text = (
                self.repository.read([entry.blob])[entry.blob] if entry else (assets.CHART / "Chart.yaml").read_bytes()
            )
            return _version(text.decode())

        return self._versions.get(self.base, read)

    def _export(self, commit: str, *, released: bool) -> Chart:
        def written() -> Chart:
            target = self.folder / commit
            self.repository.export(commit, CHART, target)
            folder = target / CHART if (target / CHART / "Chart.yaml").exists() else assets.CHART
            return Chart(folder, _version((folder / "Chart.yaml").read_text(encoding="utf-8")), released)

        return self._exported.get((commit, released), written)


def _version(text: str) -> str:
    return str(helm_yaml.load(text).value["version"])
