"""Renders job files of a repository with Helm, each at most once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from tfd.jobfile.jobfile import JobFile, Problem
from tfd.review.sources.charts import Chart, Charts
from tfd.review.sources.job_files import Job
from tfd.review.sources.rendering import Rendering


@dataclass
class Renderer:
    """Helm, for job files that are on no disk."""

    charts: Charts
    folder: Path
    _files: dict[tuple[str, str], JobFile] = field(default_factory=dict)
    _done: dict[tuple[str, str], Rendering] = field(default_factory=dict)

    def chart(self, job: Job) -> Chart | None:
        """Return the chart that the job file names, if it is there."""
        return self.charts.for_values(job.values)

    def problems(self, job: Job) -> list[Problem]:
        """Return what `tfd check` says about the job file."""
        return [replace(problem, path=Path(job.path)) for problem in self._file(job).problems()]

    def rendering(self, job: Job) -> Rendering:
        """Return what Helm makes of a job file.

        Raises:
            HelmError: the chart refuses it.

        """
        key = (job.path, job.entry.blob)
        if key not in self._done:
            self._done[key] = Rendering(self._file(job).rendered)
        return self._done[key]

    def _file(self, job: Job) -> JobFile:
        key = (job.path, job.entry.blob)
        if key not in self._files:
            # A Job's path is of harmless characters only: nothing of it leaves this folder.
            path = self.folder / job.entry.blob / job.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(job.data)
            self._files[key] = JobFile(path, (self.chart(job) or self.charts.newest()).folder)
        return self._files[key]
