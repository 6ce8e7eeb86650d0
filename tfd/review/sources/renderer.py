"""Renders the job files of a repository with Helm, each at most once, for any number of threads."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfd.jobfile.jobfile import JobFile, Problem
from tfd.review.sources.budget import Budget
from tfd.review.sources.charts import Chart, Charts
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.once import Once
from tfd.review.sources.rendering import Rendering


@dataclass
class Renderer:
    """Runs Helm for job files that exist only in git."""

    charts: Charts
    folder: Path
    budget: Budget = field(default_factory=Budget)
    _problems: Once[list[Problem]] = field(default_factory=Once)
    _files: Once[JobFile] = field(default_factory=Once)
    _done: Once[Rendering] = field(default_factory=Once)

    def chart(self, job: CommittedJobFile) -> Chart | None:
        """Return the chart that the job file selects; None when it does not exist."""
        return self.charts.selected_by(job.values, job.kind)

    def newest(self, job: CommittedJobFile) -> Chart:
        """Return the chart of the base branch for the kind of a file."""
        return self.charts.newest(job.kind)

    def problems(self, job: CommittedJobFile) -> list[Problem]:
        """Return the problems that `tfd check` reports for the job file."""

        def found() -> list[Problem]:
            with self.budget.at(job.path):
                return [replace(problem, path=Path(job.path)) for problem in self._file(job).problems()]

        return self._problems.get(_key(job), found)

    def knows(self, job: CommittedJobFile) -> bool:
        """Return whether the job file is rendered already."""
        return _key(job) in self._done or _key(job) in self._problems

    def rendering(self, job: CommittedJobFile) -> Rendering:
        """Return the objects that Helm renders for a job file.

        Raises:
            HelmError: the chart refuses it, or prints an object that cannot be read.

        """

        def found() -> Rendering:
            if _key(job) in self._problems:
                with suppress(Exception):  # It comes again below.
                    self.problems(job)  # renders the file as well
            with self.budget.at(job.path):
                file = self._file(job)
                return Rendering(file.rendered, file.objects)

        return self._done.get(_key(job), found)

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
        def written() -> JobFile:
            # The path of a job file has harmless characters only, so it stays below this folder.
            path = self.folder / job.entry.blob / job.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(job.data)
            return JobFile(path, (self.chart(job) or self.newest(job)).folder)

        return self._files.get(_key(job), written)


def _key(job: CommittedJobFile) -> tuple[str, str]:
    return job.path, job.entry.blob
