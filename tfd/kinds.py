"""The kinds of files that a team commits: job files and workbench files, each with the chart that renders it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from tfd import assets


@dataclass(frozen=True)
class Kind:
    """A kind of file that a team commits."""

    noun: str
    """What a file defines."""
    folder: str
    """The folder with the folders of the teams."""
    chart: str
    """The folder of the chart in the repository."""
    name: str
    """The word for the name of a file."""
    creates: tuple[str, ...]
    """The key of the claim that a file creates."""

    @property
    def path(self) -> str:
        """The path of a file, in words."""
        return f"{self.folder}/TEAM/{self.name}.yaml"

    @property
    def released(self) -> str:
        """The name of the chart, which is the last part of its address in a registry."""
        return PurePath(self.chart).name

    @property
    def shipped(self) -> Path:
        """The chart that is installed with tfd."""
        return assets.ROOT / self.chart


RUN = Kind("run", "jobs", "charts/tf-distributed", "RUN", ("storage", "create"))
WORKBENCH = Kind("workbench", "workbenches", "charts/workbench", "NAME", ("home",))
KINDS = (RUN, WORKBENCH)
FOLDERS = tuple(kind.folder for kind in KINDS)


def kind_of(path: PurePath) -> Kind:
    """Return the kind of a file by the folder above that of its team; a file elsewhere is a job file."""
    return next((kind for kind in KINDS if kind.folder == path.parent.parent.name), RUN)


def kind_in(path: str) -> Kind:
    """Return the kind of a path in a repository by its first folder; a file elsewhere counts as a job file."""
    return next((kind for kind in KINDS if path.split("/", 1)[0] == kind.folder), RUN)
