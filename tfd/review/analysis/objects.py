"""The Kubernetes objects that two runs of a team would both own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tfd.jobfile import helm
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering


def shared(
    job: CommittedJobFile, jobs: Iterable[CommittedJobFile], renderer: Renderer
) -> Iterator[tuple[CommittedJobFile, str]]:
    """Yield each other run that renders an object of `job`, and KIND/NAME of the object.

    Every object of a run has the name of the run or begins with it and a hyphen. So few other runs are rendered.

    Raises:
        HelmError: the chart refuses `job`.

    """
    mine = _names(renderer.active(job))
    for other in jobs:
        near = any(name == other.run or name.startswith(f"{other.run}-") for _, name in mine)
        if other.team == job.team and other.path != job.path and near and renderer.chart(other):
            try:
                both = mine & _names(renderer.active(other))
            except helm.HelmError:
                continue  # It never started.
            if both:
                yield other, "/".join(min(both))


def taken_claims(
    rendering: Rendering, job: CommittedJobFile, jobs: Iterable[CommittedJobFile]
) -> Iterator[tuple[CommittedJobFile, str]]:
    """Yield each run that uses a claim already which `job` would create, and the name of the claim."""
    new = {name for kind, name in _names(rendering) if kind == "PersistentVolumeClaim"}
    for other in jobs:
        taken = sorted(new & set(_claims(other.values)))
        if taken and other.team == job.team and other.path != job.path:
            yield other, taken[0]


def _claims(values: dict[str, Any]) -> Iterator[str]:
    """Yield the existing claims that a job file names, which may be invalid."""
    mounts = values.get("mounts")
    for block in (values.get("storage"), values.get("data"), *(mounts if isinstance(mounts, list) else ())):
        name = block.get("claim") if isinstance(block, dict) else None
        if isinstance(name, str):
            yield name


def _names(rendering: Rendering) -> set[tuple[str, str]]:
    return {(item["kind"], item["metadata"]["name"]) for item in rendering.objects}
