"""The chart that renders a run: the one at the git tag of its chartVersion, as Argo CD uses it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml
from tfd.review.sources.git import GitError, Repository

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
    _exported: dict[str, Chart | None] = field(default_factory=dict)

    def newest(self) -> Chart:
        """Return the chart of the base branch, at its tag if there is one."""
        chart = self._export(self.base, released=False)
        return self.of(chart.version) or chart

    def of(self, version: str) -> Chart | None:
        """Return the chart of a version: at its tag, else on the base branch; None if neither has that version."""
        if version not in self._exported:
            try:
                commit = self.repository.commit(f"refs/tags/{tag(version)}")
            except GitError:
                base = self._export(self.base, released=False)
                self._exported[version] = base if base.version == version else None
            else:
                self._exported[version] = self._export(commit, released=True)
        return self._exported[version]

    def selected_by(self, values: dict[str, Any]) -> Chart | None:
        """Return the chart that a job file selects with chartVersion; without one, the chart of the base branch."""
        version = values.get("chartVersion")
        if isinstance(version, str) and _VERSION.fullmatch(version):
            return self.of(version)
        return self.newest()

    def _export(self, commit: str, *, released: bool) -> Chart:
        target = self.folder / commit
        if not target.exists():
            target.mkdir(parents=True)
            if self.repository.entries(commit, f"{CHART}/Chart.yaml"):
                self.repository.export(commit, CHART, target)
        folder = target / CHART if (target / CHART).exists() else assets.CHART
        facts = helm_yaml.load((folder / "Chart.yaml").read_text(encoding="utf-8")).value
        return Chart(folder, str(facts["version"]), released)
