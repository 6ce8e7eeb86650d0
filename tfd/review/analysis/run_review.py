"""The review of one job file or workbench file that a pull request changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfd.kinds import Kind, kind_in
from tfd.review.analysis.actions import Action
from tfd.review.analysis.findings import Finding
from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.queue_place import QueuePlace
from tfd.review.analysis.rights import Rights
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import ResourceRequest


@dataclass
class RunReview:
    """The review of one job file or workbench file that the pull request changes."""

    path: str
    action: Action
    base: CommittedJobFile | None = None
    """The job file on the base branch."""
    merged: CommittedJobFile | None = None
    """The job file after the merge."""
    base_rendering: Rendering | None = None
    merged_rendering: Rendering | None = None
    rights: Rights | None = None
    """What the run takes after the merge while it is active, also if it is archived for now."""
    base_rights: Rights | None = None
    """The same on the base branch."""
    effective: dict[str, Any] = field(default_factory=dict)
    """The keys of the file after the merge, with the defaults of its chart."""
    keys: list[KeyChange] = field(default_factory=list)
    """The keys that differ between base and merged."""
    nearest: CommittedJobFile | None = None
    """For a new run, the nearest earlier run."""
    nearest_rendering: Rendering | None = None
    """The nearest earlier run, rendered with the name of this run."""
    differences: list[KeyChange] = field(default_factory=list)
    """The keys that differ from the nearest earlier run and have an effect on the training."""
    queue: QueuePlace | None = None
    """Its place in a queue of Kueue, if the run names one."""
    missing_tag: str = ""
    """The git tag of the chart that the run waits for, if the run starts and the tag does not exist."""
    secrets: list[str] = field(default_factory=list)
    """Values that no output may show."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Whether the file defines a run or a workbench."""
        return kind_in(self.path)

    @property
    def name(self) -> str:
        """TEAM/RUN, or the path of a file that is not a job file."""
        job = self.merged or self.base
        return job.name if job else self.path

    @property
    def growth(self) -> ResourceRequest:
        """How much more runs after the merge than before. Negative where less does."""
        before, after = (
            each.running if each else ResourceRequest() for each in (self.base_rendering, self.merged_rendering)
        )
        return after - before
