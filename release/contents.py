"""What a release contains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devcluster.paths import CHECKOUT
from devcluster.shell import DevclusterError, refusal

IMAGES = ("trainer", "trainer-gpu", "tensorboard", "workbench", "workbench-gpu")
"""The targets of trainer/Dockerfile that a release publishes."""
PUBLIC = "ghcr.io/tf-distributed/tf-distributed"
"""Where the release of this project is."""
CHART = CHECKOUT / "charts" / "tf-distributed"


@dataclass(frozen=True)
class Artifact:
    """An image or a chart in a registry."""

    name: str
    """Its address without a tag, such as `ghcr.io/OWNER/REPOSITORY/trainer`."""
    digest: str

    def within(self, registry: str) -> str:
        """Return the name within a registry, such as `trainer`."""
        return self.name.removeprefix(f"{registry}/")

    @property
    def reference(self) -> str:
        """Return NAME@DIGEST."""
        return f"{self.name}@{self.digest}"


def charts() -> list[Path]:
    """Return the folders of the charts."""
    return sorted(path.parent for path in (CHECKOUT / "charts").glob("*/Chart.yaml"))


def packages(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the source distribution in a folder.

    Raises:
        DevclusterError: one of them is missing, or there are several.

    """
    found = tuple(sorted(folder.glob(end)) for end in ("*.whl", "tf_distributed-*.tar.gz"))
    if [len(each) for each in found] != [1, 1]:
        number = sum(map(len, found))
        fix = "Empty the folder and publish again."
        raise DevclusterError(refusal(str(folder), f"{number} packages", "one wheel and one source distribution", fix))
    return found[0][0], found[1][0]


def names(registry: str, images: Iterable[str]) -> list[str]:
    """Return the name of each image and chart in a registry."""
    return [f"{registry}/{image}" for image in images] + [f"{registry}/charts/{chart.name}" for chart in charts()]
