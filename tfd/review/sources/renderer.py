"""Renders the job files of a repository with Helm, each at most once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfd.jobfile.jobfile import JobFile, Problem
from tfd.review.sources.budget import Budget
from tfd.review.sources.charts import Chart, Charts
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.rendering import Rendering


@dataclass
class Renderer:
    """Runs Helm for job files that exist only in git."""

    charts: Charts
    folder: Path
    budget: Budget = field(default_factory=Budget)
    _problems: dict[tuple[str, str], list[Problem]] = field(default_factory=dict)
    _files: dict[tuple[str, str], JobFile] = field(default_factory=dict)
    _done: dict[tuple[str, str], Rendering] = field(default_factory=dict)

    def chart(self, job: CommittedJobFile) -> Chart | None:
        """Return the chart that the job file selects; None when it does not exist."""
        return self.charts.selected_by(job.values)

    def prepare(self, jobs: Iterable[CommittedJobFile]) -> None:
        """Render job files with several Helm processes at a time. An error is reported where the file is examined."""
        files = [job for job in jobs if self.chart(job) and self._file(job)]  # each chart is exported once

        def check(job: CommittedJobFile) -> None:
            with suppress(Exception):
                self.problems(job)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(check, files))

    def problems(self, job: CommittedJobFile) -> list[Problem]:
        """Return the problems that `tfd check` reports for the job file."""
        key = (job.path, job.entry.blob)
        if key not in self._problems:
            with self.budget.at(job.path):
                found = self._file(job).problems()
            self._problems[key] = [replace(problem, path=Path(job.path)) for problem in found]
        return self._problems[key]

    def rendering(self, job: CommittedJobFile) -> Rendering:
        """Return the objects that Helm renders for a job file.

        Raises:
            HelmError: the chart refuses it.

        """
        key = (job.path, job.entry.blob)
        if key not in self._done:
            with self.budget.at(job.path):
                rendering = Rendering(self._file(job).rendered)
                rendering.objects  # noqa: B018 - an object that cannot be read is an error of Helm
            self._done[key] = rendering
        return self._done[key]

    def active(self, job: CommittedJobFile) -> Rendering:
        """Return the objects of a run with its pods, also of an archived run, which has none.

        Raises:
            HelmError: the chart refuses that.

        """
        if job.state != "archived":
            return self.rendering(job)
        entry = replace(job.entry, blob=f"{job.entry.blob}-active")
        data = json.dumps(job.values | {"state": "active"}).encode()
        return self.rendering(CommittedJobFile(entry, job.team, job.run, data))

    def _file(self, job: CommittedJobFile) -> JobFile:
        key = (job.path, job.entry.blob)
        if key not in self._files:
            # The path of a job file has harmless characters only, so it stays below this folder.
            path = self.folder / job.entry.blob / job.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(job.data)
            self._files[key] = JobFile(path, (self.chart(job) or self.charts.newest()).folder)
        return self._files[key]
