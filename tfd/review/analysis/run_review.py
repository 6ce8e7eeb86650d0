"""Judges the change of each job file: what it does, what it costs, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tfd.jobfile import helm
from tfd.review.analysis import fixes
from tfd.review.analysis.actions import ADDING, Action, action_of
from tfd.review.analysis.findings import Finding, Level
from tfd.review.analysis.fleet import of_one_application
from tfd.review.analysis.history import Earlier, differences
from tfd.review.analysis.key_changes import FINAL, KeyChange, changed_keys
from tfd.review.analysis.policy import Policy
from tfd.review.analysis.secrets import find_secrets
from tfd.review.sources.charts import tag
from tfd.review.sources.job_files import Job, Tree
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering
from tfd.text import dotted


@dataclass
class RunReview:
    """One job file that the pull request changes."""

    path: str
    action: Action
    before: Job | None = None
    after: Job | None = None
    was: Rendering | None = None
    """What the file renders to before the merge."""
    now: Rendering | None = None
    """And after it."""
    keys: list[KeyChange] = field(default_factory=list)
    """The keys that differ before and after the merge."""
    nearest: Job | None = None
    """The nearest earlier run, for a new one."""
    nearest_rendering: Rendering | None = None
    """What it would render to under the name of this run."""
    differences: list[KeyChange] = field(default_factory=list)
    """The keys that differ from the nearest earlier run, as far as they make a difference to the training."""
    secrets: list[str] = field(default_factory=list)
    """What must not be shown."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """TEAM/RUN, or the path of what is no job file."""
        job = self.after or self.before
        return job.name if job else self.path


@dataclass
class Judge:
    """Knows both trees, the rules and Helm."""

    base: str
    trees: tuple[Tree, Tree]
    renderer: Renderer
    policy: Policy
    earlier: Earlier

    def review(self, path: str) -> RunReview:
        """Return what there is to say about one changed path below jobs/."""
        before, after = (tree.jobs.get(path) for tree in self.trees)
        run = RunReview(path, Action.UNREADABLE, before, after)
        if why := self.trees[1].refused.get(path):
            run.findings.append(Finding(Level.REFUSED, path, why))
            return run
        job = after or before
        if job is None:  # a link that is gone: it was no job file before either
            run.action = Action.DELETED
        elif job.team in self.policy.rules.not_deployed:
            self._check_only(run)
        else:
            self._judge(run)
        run.secrets = [
            secret.text for each in (before, after, run.nearest) if each for secret in find_secrets(each.values)
        ]
        return run

    def _check_only(self, run: RunReview) -> None:
        """Look at a file that starts nothing. It may well be for a chart that comes with the same pull request."""
        run.action = Action.CHECKED
        run.was = self._rendering(run.before) if run.before else None
        if run.after is None:
            return
        if not (problems := self._problems(run.after)):
            run.now = self.renderer.rendering(run.after)
            run.keys = self._changed_keys(run.before, run.after) if run.before and run.was else []
        run.findings = [replace(problem, level=Level.WARNING) for problem in problems]
        run.findings += self._secrets(run)

    def _judge(self, run: RunReview) -> None:
        """Say what merging does to a run, and what speaks against it."""
        before, after = run.before, run.after
        if before and before.chart_version and self.renderer.chart(before) is None:
            missing = tag(before.chart_version)
            run.findings.append(Finding(Level.UNKNOWN, run.path, f"the git tag {missing} is not here: fetch all tags"))
            return
        # What could not be rendered was never started: to mend it is to start it.
        run.was = self._rendering(before) if before else None
        old = before if run.was else None
        if after is None:
            run.action = Action.DELETED
            run.findings += self._deleted(old) if old else []
            return
        run.findings = self._problems(after) or list(self._waits(after))
        if not any(finding.level is Level.REFUSED for finding in run.findings):
            run.now = self.renderer.rendering(after)
            self._compare(run, old, after)
        run.findings += self._secrets(run)

    def _problems(self, job: Job) -> list[Finding]:
        """Return what `tfd check` says."""
        return [
            Finding(
                Level.REFUSED,
                job.path,
                problem.message,
                problem.line,
                problem.column,
                suggestion=fixes.suggestion(job, problem),
            )
            for problem in self.renderer.problems(job)
        ]

    def _waits(self, job: Job) -> Iterator[Finding]:
        """Yield why Argo CD would not start what is in a file without problems."""
        chart = self.renderer.chart(job)
        if job.chart_version is None:
            version = self.renderer.charts.newest().version
            message = f"chartVersion: missing: Argo CD has no chart for it, so it never starts; set it to {version}"
            yield Finding(Level.REFUSED, job.path, message, suggestion=fixes.with_chart_version(job, version))
        elif chart and not chart.released:
            message = f"chart {chart.version} has no git tag yet: the run waits until {tag(chart.version)} is pushed"
            yield Finding(Level.WARNING, job.path, message)

    def _secrets(self, run: RunReview) -> Iterator[Finding]:
        """Yield what looks like a secret and was not there before."""
        known = {secret.text for secret in find_secrets(run.before.values)} if run.before else set()
        if run.after:
            new = (secret for secret in find_secrets(run.after.values) if secret.text not in known)
            yield from self.policy.of_secrets(run.after, new)

    def _compare(self, run: RunReview, old: Job | None, new: Job) -> None:
        """Hold a readable file against what was there before, or against the nearest earlier run."""
        if run.now is None:
            return
        run.keys = self._changed_keys(old, new) if old else []
        run.action = action_of(old, new, same=not run.keys)
        if old and run.was:
            run.findings += self._changed(run, old, run.was, run.now)
        if run.action in ADDING:
            run.findings += self._added(run, new)
        run.findings += self.policy.of_run(new, run.action, old, run.was, run.now, self.trees[1].jobs.values())

    def _changed(self, run: RunReview, old: Job, was: Rendering, now: Rendering) -> Iterator[Finding]:
        """Yield the keys of a merged run that nobody may change any more."""
        final = [change for change in run.keys if change.kind in FINAL]
        both = was.immutable.keys() & now.immutable.keys()
        harmless = "archived" not in (old.state, run.after.state if run.after else "") and all(
            was.immutable[name] == now.immutable[name] for name in both
        )
        if harmless:
            return
        taken = {job.run for tree in self.trees for job in tree.jobs.values()}
        for change in final:
            line, column = (1, 1)
            if run.after and run.after.document:
                line, column = run.after.document.position(change.key)
            message = f"{dotted(change.key)}: a merged run never changes ({change.kind} key); copy it to a new run"
            mend = fixes.copy_command(old, self.base, taken)
            yield Finding(Level.REFUSED, run.path, message, line, column, mend=mend)

    def _added(self, run: RunReview, new: Job) -> Iterator[Finding]:
        """Yield what is to be known of a new run, and set what it is compared with."""
        for other in of_one_application(new, self.trees[1].jobs.values()):
            message = f"its Application {new.team}-{new.run} would be that of {other.path}, too; rename this file"
            yield Finding(Level.REFUSED, new.path, message)
        run.nearest = None if new.board else self.earlier.nearest(new)
        if run.nearest and run.now:
            try:
                run.nearest_rendering = self.earlier.as_if(run.nearest, new)
            except helm.HelmError:
                run.nearest = None  # its chart is gone
            else:
                run.differences = [
                    *differences(run.nearest_rendering, run.now),
                    *self._other_differences(run.nearest, new),
                ]
        if not new.board:
            yield from self._twins(new)
        if any(gone.path == new.path for gone in self.earlier.deleted):
            message = (
                "a run of this name was deleted before: if its directory is still there, another identity is refused"
            )
            yield Finding(Level.WARNING, new.path, message)
        yield from self._warm_start(new)

    def _twins(self, new: Job) -> Iterator[Finding]:
        """Yield what trained the same before, as one finding."""
        gone = {job.path for job in self.earlier.deleted}
        # What this pull request deletes is told as a rename.
        twins = [job.path for job in self.earlier.same(new) if job.path in self.trees[1].jobs or job.path in gone]
        if twins:
            shown = ", ".join(f"{path} (deleted since)" if path in gone else path for path in twins[:3])
            more = f" and {len(twins) - 3} more" if len(twins) > 3 else ""  # noqa: PLR2004
            message = f"trains the very same as {shown}{more}: same identity hash"
            yield Finding(Level.WARNING, new.path, message)

    def _changed_keys(self, old: Job, new: Job) -> list[KeyChange]:
        charts = [self.renderer.chart(job) or self.renderer.charts.newest() for job in (old, new)]
        return changed_keys(old.values, new.values, charts[0].folder, charts[1].folder)

    def _other_differences(self, old: Job, new: Job) -> list[KeyChange]:
        """Return the keys besides identity that make a run cost more or run elsewhere."""
        found = self._changed_keys(old, new)
        return [change for change in found if change.kind == "immutable" or change.key in (("deadline",), ("retries",))]

    def _warm_start(self, job: Job) -> Iterator[Finding]:
        name = job.values.get("warmStartFrom")
        if not name:
            return
        line, column = job.document.position(("warmStartFrom",)) if job.document else (1, 1)
        parent = self.trees[1].jobs.get(f"jobs/{job.team}/{name}.yaml")
        if parent is None:
            said = f"warmStartFrom: no jobs/{job.team}/{name}.yaml is here: its directory must be in the storage"
        elif parent.state == "active":
            said = f"warmStartFrom: {parent.path} is active: this run starts from what it has saved by then"
        else:
            return
        yield Finding(Level.WARNING, job.path, said, line, column)

    def _deleted(self, old: Job) -> Iterator[Finding]:
        if old.state == "active" and not old.board:
            message = (
                "deleting the file of an active run ends all its pods at once, finished or not; "
                "merge state: suspended or state: archived first, then delete the file"
            )
            mend = f"git checkout {self.base[:12]} -- {old.path}"
            yield Finding(Level.REFUSED, old.path, message, mend=mend)

    def _rendering(self, job: Job) -> Rendering | None:
        if job.chart_version is None or self.renderer.chart(job) is None:
            return None
        try:
            return self.renderer.rendering(job)
        except helm.HelmError:
            return None
