"""What another version of the chart changes in a run: defaults that moved, and rendered objects."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from tfd.jobfile.schema import schema
from tfd.review.analysis.key_changes import KeyChange, changed_keys
from tfd.review.sources.git import Entry
from tfd.review.sources.job_files import CommittedJobFile, is_job_path, job_of
from tfd.review.sources.renderer import Renderer
from tfd.text import refusal, shown

_VERSION = "chartVersion"


class ChartMoveError(Exception):
    """The two versions cannot be compared; the message names the reason and the fix."""


@dataclass(frozen=True)
class ChartMove:
    """The difference between two versions of the chart for one job file."""

    path: Path
    before: str
    after: str
    keys: list[KeyChange]
    """Keys that the job file does not set and whose defaults differ."""
    objects: list[str]
    """Lines of a unified diff of the rendered objects."""


def read(path: Path) -> CommittedJobFile:
    """Return a job file of the working tree.

    Raises:
        ChartMoveError: it is not a job file with a chart version.

    """
    name = f"jobs/{path.absolute().parent.name}/{path.name}"
    data = path.read_bytes()
    job = job_of(Entry(name, "100644", sha256(data).hexdigest(), len(data)), data) if is_job_path(name) else None
    if job is None or not job.values:
        raise ChartMoveError(refusal(str(path), "another file", "jobs/TEAM/RUN.yaml", f"Run tfd check {path}."))
    if job.chart_version is None:
        raise ChartMoveError(refusal(f"{path}: {_VERSION}", "nothing", "a version", f"Set {_VERSION}."))
    return job


def moved(path: Path, renderer: Renderer, version: str) -> ChartMove:
    """Return what a version of the chart changes in the run of a job file.

    Raises:
        ChartMoveError: a version of the chart does not exist.
        HelmError: a version of the chart refuses the job file.

    """
    job = read(path)
    before = str(job.chart_version)
    values = job.values | {_VERSION: version}
    entry = replace(job.entry, blob=f"{job.entry.blob}-on-{version}")
    later = CommittedJobFile(entry, job.team, job.run, json.dumps(values).encode())
    folders = [_folder(renderer, each) for each in (job, later)]
    keys = [each for each in changed_keys(job.values, values, *folders) if each.key != (_VERSION,)]
    old, new = (renderer.rendering(each).documents() for each in (job, later))
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        labels = (f"{name} {before}", f"{name} {version}")
        lines += difflib.unified_diff(old.get(name, []), new.get(name, []), *labels, n=1, lineterm="")
    return ChartMove(path, before, version, keys, lines)


def _folder(renderer: Renderer, job: CommittedJobFile) -> Path:
    node = schema()["properties"][_VERSION]
    if not re.fullmatch(node["pattern"], str(job.chart_version)):
        raise ChartMoveError(refusal(_VERSION, shown(job.chart_version), node["x-rule"], node["x-hint"]))
    chart = renderer.chart(job)
    if chart is None:
        place = renderer.charts.registry or "the git tags and HEAD of this repository"
        got = f"no chart {job.chart_version} in {place}"
        raise ChartMoveError(refusal(_VERSION, got, "a released version", "Fetch all tags, or name another version."))
    return chart.folder
