"""What the review of each job file reads: both trees, the rules, the history and Helm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfd.jobfile import schema
from tfd.review.analysis.history import History
from tfd.review.analysis.key_changes import KeyChange, changed_keys
from tfd.review.analysis.policy import Policy
from tfd.review.sources.job_files import CommittedJobFile, Tree
from tfd.review.sources.renderer import Renderer


@dataclass(frozen=True)
class Merge:
    """A merge that is reviewed."""

    base_commit: str
    base_tree: Tree
    merged_tree: Tree
    renderer: Renderer
    policy: Policy
    history: History

    def effective(self, job: CommittedJobFile) -> dict[str, Any]:
        """Return the keys of a file with the defaults of its chart."""
        chart = self.renderer.chart(job) or self.renderer.newest(job)
        return schema.merged(schema.defaults(chart.folder), job.values)

    def changed_keys(self, base: CommittedJobFile, merged: CommittedJobFile) -> list[KeyChange]:
        """Return the keys whose effective value differs between two job files, each with its chart."""
        charts = [self.renderer.chart(job) or self.renderer.newest(job) for job in (base, merged)]
        return changed_keys(base.values, merged.values, charts[0].folder, charts[1].folder)
