"""Reviews the change of each job file and workbench file: its effect, its cost and its problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from tfd.jobfile import helm
from tfd.review.analysis import fixes, problems
from tfd.review.analysis.actions import ADDING, STARTING, Action
from tfd.review.analysis.checks import CHECKS
from tfd.review.analysis.findings import Finding, Level, Message, sentence
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.objects import shared_objects
from tfd.review.analysis.run_review import RunReview
from tfd.review.analysis.run_rights import rights_of
from tfd.review.analysis.secrets import Secret, find_secrets
from tfd.review.sources.charts import tag
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.rendering import Rendering


@dataclass
class RunReviewer:
    """Reviews the job files that a merge changes."""

    merge: Merge

    def examine(self, path: str) -> RunReview:
        """Return the review of one changed path of a job file or a workbench file."""
        base, merged = self.merge.base_tree.jobs.get(path), self.merge.merged_tree.jobs.get(path)
        run = RunReview(path, Action.UNREADABLE, base, merged)
        if why := self.merge.merged_tree.refused.get(path):
            run.findings.append(Finding(Level.REFUSED, path, sentence(why)))
            return run
        job = merged or base
        if job is None:  # A deleted link, which was not a job file on the base either.
            run.action = Action.DELETED
        elif job.team in self.merge.policy.rules.not_deployed:
            self._check_only(run)
        else:
            self._examine_deployed(run)
        run.secrets = self.secrets_of(path, run.nearest)
        return run

    def secrets_of(self, path: str, nearest: CommittedJobFile | None = None) -> list[str]:
        """Return the values in both versions of a job file, and in its nearest run, that no output may show."""
        jobs = (self.merge.base_tree.jobs.get(path), self.merge.merged_tree.jobs.get(path), nearest)
        return [secret.text for each in jobs if each for secret in _secrets_in(each)]

    def _check_only(self, run: RunReview) -> None:
        """Review a file that starts nothing. Its chart may be part of the same pull request, so problems only warn."""
        run.action = Action.CHECKED
        run.base_rendering = self._rendering(run.base) if run.base else None
        if run.merged is None:
            return
        if not (found := self._problems(run.merged)):
            run.merged_rendering = self.merge.renderer.rendering(run.merged)
            run.keys = self.merge.changed_keys(run.base, run.merged) if run.base and run.base_rendering else []
        run.findings = [replace(problem, level=Level.WARNING) for problem in found]
        run.findings += self._secrets(run)

    def _examine_deployed(self, run: RunReview) -> None:
        """Set the action, the renderings and the findings of a run."""
        base, merged = run.base, run.merged
        if base and base.chart_version and self.merge.renderer.chart(base) is None:
            message = self._missing_chart(base.chart_version)
            run.findings.append(Finding(Level.UNKNOWN, run.path, message))
            return
        # A file that cannot be rendered never started a run, so fixing it starts the run.
        run.base_rendering = self._rendering(base) if base else None
        started = base if run.base_rendering else None
        if merged is None:
            run.action = Action.DELETED
            run.findings += CHECKS[started.kind].deleted(started, self.merge) if started else []
            return
        run.findings = self._problems(merged) or list(self._missing_version(merged))
        if not any(finding.level is Level.REFUSED for finding in run.findings):
            run.merged_rendering = self.merge.renderer.rendering(merged)
            run.rights = rights_of(self.merge.renderer.active(merged), merged.values)
            run.base_rights = rights_of(self.merge.renderer.active(started), started.values) if started else None
            self._compare(run, started, merged)
            run.findings += self._missing_tag(run, merged)
        run.findings += self._secrets(run)

    def _missing_chart(self, version: str) -> Message:
        if registry := self.merge.renderer.charts.registry:
            return sentence("{} has no chart {}. Push it again.", registry, version)
        return sentence("The git tag {} is missing in this clone. Fetch all tags.", tag(version))

    def _problems(self, job: CommittedJobFile) -> list[Finding]:
        """Return the problems that `tfd check` reports."""
        version = self.merge.renderer.newest(job).version
        return [problems.finding(job, problem, version) for problem in self.merge.renderer.problems(job)]

    def _missing_version(self, job: CommittedJobFile) -> Iterator[Finding]:
        """Yield a finding if a job file without problems selects no chart."""
        if job.chart_version is None:
            version = self.merge.renderer.newest(job).version
            template = "chartVersion: got nothing; expected the version of a chart. Set chartVersion: {}."
            suggestion = fixes.with_chart_version(job, version)
            yield Finding(Level.REFUSED, job.path, sentence(template, version), suggestion=suggestion)

    def _missing_tag(self, run: RunReview, job: CommittedJobFile) -> Iterator[Finding]:
        """Yield a warning if the chart of the run has no git tag yet."""
        chart = self.merge.renderer.chart(job)
        if chart and not chart.released:
            run.missing_tag = tag(chart.version) if run.action in STARTING else ""
            template = f"Argo CD cannot render the {job.kind.noun} before the git tag {{}} exists. Push the tag."
            yield Finding(Level.WARNING, job.path, sentence(template, tag(chart.version)))

    def _secrets(self, run: RunReview) -> Iterator[Finding]:
        """Yield the values that look like a secret and are new in the file."""
        known = {secret.text for secret in _secrets_in(run.base)} if run.base else set()
        if run.merged:
            new = (secret for secret in _secrets_in(run.merged) if secret.text not in known)
            yield from self.merge.policy.of_secrets(run.merged, new)

    def _compare(self, run: RunReview, base: CommittedJobFile | None, merged: CommittedJobFile) -> None:
        """Compare a readable file with its version on the base, or with the nearest earlier run."""
        if run.merged_rendering is None:
            return
        checks = CHECKS[merged.kind]
        run.effective = self.merge.effective(merged)
        run.keys = self.merge.changed_keys(base, merged) if base else []
        run.action = checks.action(run, base)
        if base:
            run.findings += checks.changed(run, base, merged, self.merge)
        if run.action in ADDING:
            run.findings += checks.added(run, merged, self.merge)
        run.findings += shared_objects(run, merged, self.merge)
        others = self.merge.merged_tree.jobs.values()
        if run.rights:
            run.findings += self.merge.policy.of_run(merged, run.action, run.rights, run.base_rights, others)
            active = self.merge.renderer.active
            kept = active(base).queues if base and run.action not in STARTING else set()
            run.findings += self.merge.policy.of_queue(merged, active(merged).queues, kept)
            run.findings += checks.endless(run, merged)

    def _rendering(self, job: CommittedJobFile) -> Rendering | None:
        if job.chart_version is None or self.merge.renderer.chart(job) is None:
            return None
        try:
            return self.merge.renderer.rendering(job)
        except helm.RefusedError:
            return None


@lru_cache(maxsize=1024)
def _secrets_in(job: CommittedJobFile) -> tuple[Secret, ...]:
    return tuple(find_secrets(job.values, job.data.decode(errors="replace")))
