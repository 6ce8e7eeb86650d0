"""All runs of a repository at once: what they share, and what they ask for together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tfd.jobfile import helm
from tfd.jobfile.schema import defaults, merged
from tfd.review.analysis.argocd import name_of
from tfd.review.sources.job_files import Job
from tfd.review.sources.renderer import Renderer

_ROLES = ("chief", "ps", "worker", "evaluator")
# All that the number of GPUs of a run can depend on.
_TOPOLOGY = ("strategy", "gpu", "state", *_ROLES)


def output_directory(job: Job) -> str | None:
    """Return where a run writes, told apart over all teams; None when nobody else can write there."""
    storage = job.values.get("storage")
    if job.board or not isinstance(storage, dict):
        return None
    if isinstance(storage.get("uri"), str):
        return f"{storage['uri']}/{job.run}"
    claim = job.run if "create" in storage else storage.get("claim")
    return f"claim {claim} of {job.team}/{job.run}" if claim else None


def sharing_output(job: Job, jobs: Iterable[Job]) -> Iterator[tuple[Job, str]]:
    """Yield every other run whose output directory is, holds or lies in that of `job`."""
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


def of_one_name(job: Job, jobs: Iterable[Job]) -> list[Job]:
    """Return the runs of other teams with the name of `job`."""
    return [other for other in jobs if other.run == job.run and other.team != job.team]


def of_one_application(job: Job, jobs: Iterable[Job]) -> list[Job]:
    """Return the other runs whose Application has the same name: TEAM-RUN can be read in more than one way."""
    return [other for other in jobs if other.path != job.path and name_of(other) == name_of(job)]


def gpus_of_team(team: str, jobs: Iterable[Job], renderer: Renderer) -> int:
    """Return the GPUs that all active runs of a team ask for together.

    Runs of one topology ask for the same, so only one of each is rendered, and none that names no GPU at all.
    """
    known: dict[str, int] = {}
    total = 0
    for job in jobs:
        if job.team != team or job.state != "active" or job.board or not (chart := renderer.chart(job)):
            continue
        values = merged(defaults(chart.folder), job.values)
        topology = json.dumps([chart.version, {key: values.get(key) for key in _TOPOLOGY}], sort_keys=True)
        if topology not in known:
            known[topology] = _gpus(job, values, renderer)
        total += known[topology]
    return total


def _gpus(job: Job, values: dict[str, Any], renderer: Renderer) -> int:
    blocks = [values.get(role) for role in _ROLES]
    if not any(_names_gpus(block) for block in blocks if isinstance(block, dict)):
        return 0
    try:
        return renderer.rendering(job).need.gpus
    except helm.HelmError:
        return 0  # a file that the chart refuses starts nothing


def _names_gpus(block: dict[str, Any]) -> bool:
    return bool(block.get("gpus")) or "/" in json.dumps(block.get("resources"))
