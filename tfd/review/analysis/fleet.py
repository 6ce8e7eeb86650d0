"""All runs of a repository together: what they share, and the sum of their requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tfd.jobfile import helm
from tfd.jobfile.schema import defaults, merged
from tfd.kubernetes import ROLES
from tfd.review.analysis.argocd import name_of
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.renderer import Renderer

# The only keys that the number of GPUs of a run depends on.
_TOPOLOGY = ("strategy", "gpu", "state", *ROLES)


def output_directory(job: CommittedJobFile) -> str | None:
    """Return the output directory of a run, unique over all teams; None when no other run can share it."""
    storage = job.values.get("storage")
    if job.tensorboard_only or not isinstance(storage, dict):
        return None
    if isinstance(storage.get("uri"), str):
        return f"{storage['uri']}/{job.run}"
    claim = job.run if "create" in storage else storage.get("claim")
    return f"claim {claim} of {job.team}/{job.run}" if claim else None


def sharing_output(job: CommittedJobFile, jobs: Iterable[CommittedJobFile]) -> Iterator[tuple[CommittedJobFile, str]]:
    """Yield every other run whose output directory equals, contains or is inside the directory of `job`."""
    mine = output_directory(job)
    for other in jobs:
        theirs = output_directory(other)
        if (
            mine
            and theirs
            and other.path != job.path
            and (f"{mine}/".startswith(f"{theirs}/") or theirs.startswith(f"{mine}/"))
        ):
            yield other, theirs


def of_one_name(job: CommittedJobFile, jobs: Iterable[CommittedJobFile]) -> list[CommittedJobFile]:
    """Return the runs of other teams that have the name of `job`."""
    return [other for other in jobs if other.run == job.run and other.team != job.team]


def of_one_application(job: CommittedJobFile, jobs: Iterable[CommittedJobFile]) -> list[CommittedJobFile]:
    """Return the other runs whose Application has the same name: a-b/c and a/b-c both give a-b-c."""
    return [other for other in jobs if other.path != job.path and name_of(other) == name_of(job)]


def gpus_of_team(team: str, jobs: Iterable[CommittedJobFile], renderer: Renderer) -> int:
    """Return the GPUs that all active runs of a team request together.

    Runs of one topology request the same number, so only one of each is rendered. A run without GPUs is not rendered.
    """
    known: dict[str, int] = {}
    total = 0
    for job in jobs:
        if job.team != team or job.state != "active" or job.tensorboard_only or not (chart := renderer.chart(job)):
            continue
        values = merged(defaults(chart.folder), job.values)
        topology = json.dumps([chart.version, {key: values.get(key) for key in _TOPOLOGY}], sort_keys=True)
        if topology not in known:
            known[topology] = _gpus(job, values, renderer)
        total += known[topology]
    return total


def _gpus(job: CommittedJobFile, values: dict[str, Any], renderer: Renderer) -> int:
    blocks = [values.get(role) for role in ROLES]
    if not any(_names_gpus(block) for block in blocks if isinstance(block, dict)):
        return 0
    try:
        return renderer.rendering(job).request.gpus
    except helm.HelmError:
        return 0  # A file that the chart refuses starts nothing.


def _names_gpus(block: dict[str, Any]) -> bool:
    return bool(block.get("gpus")) or "/" in json.dumps(block.get("resources"))
