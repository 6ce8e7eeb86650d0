"""Reviews the change of each job file: its effect, its cost and its problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tfd.jobfile import helm
from tfd.review.analysis import fixes, objects, problems
from tfd.review.analysis.actions import ADDING, STARTING, Action, action_of
from tfd.review.analysis.findings import Finding, Level, sentence
from tfd.review.analysis.fleet import of_one_application
from tfd.review.analysis.history import History, differences
from tfd.review.analysis.key_changes import FINAL, UNSET, KeyChange, changed_keys
from tfd.review.analysis.policy import Policy
from tfd.review.analysis.rights import Rights, rights_of
from tfd.review.analysis.secrets import Secret, find_secrets
from tfd.review.sources.charts import tag
from tfd.review.sources.job_files import CommittedJobFile, Tree
from tfd.review.sources.quantities import decimal
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import ResourceRequest
from tfd.text import dotted, shown


@dataclass
class RunReview:
    """The review of one job file that the pull request changes."""

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
    keys: list[KeyChange] = field(default_factory=list)
    """The keys that differ between base and merged."""
    nearest: CommittedJobFile | None = None
    """For a new run, the nearest earlier run."""
    nearest_rendering: Rendering | None = None
    """The nearest earlier run, rendered with the name of this run."""
    differences: list[KeyChange] = field(default_factory=list)
    """The keys that differ from the nearest earlier run and have an effect on the training."""
    missing_tag: str = ""
    """The git tag of the chart that the run waits for, if the run starts and the tag does not exist."""
    secrets: list[str] = field(default_factory=list)
    """Values that no output may show."""
    findings: list[Finding] = field(default_factory=list)

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


@dataclass
class RunReviewer:
    """Reviews job files, given both trees, the rules and Helm."""

    base_commit: str
    base_tree: Tree
    merged_tree: Tree
    renderer: Renderer
    policy: Policy
    history: History

    def examine(self, path: str) -> RunReview:
        """Return the review of one changed path below jobs/."""
        base, merged = self.base_tree.jobs.get(path), self.merged_tree.jobs.get(path)
        run = RunReview(path, Action.UNREADABLE, base, merged)
        if why := self.merged_tree.refused.get(path):
            run.findings.append(Finding(Level.REFUSED, path, sentence(why)))
            return run
        job = merged or base
        if job is None:  # A deleted link, which was not a job file on the base either.
            run.action = Action.DELETED
        elif job.team in self.policy.rules.not_deployed:
            self._check_only(run)
        else:
            self._examine_deployed(run)
        run.secrets = self.secrets_of(base, merged, run.nearest)
        return run

    def secrets_of(self, *jobs: CommittedJobFile | None) -> list[str]:
        """Return the values in job files that no output may show."""
        return [secret.text for each in jobs if each for secret in _secrets_in(each)]

    def _check_only(self, run: RunReview) -> None:
        """Review a file that starts nothing. Its chart may be part of the same pull request, so problems only warn."""
        run.action = Action.CHECKED
        run.base_rendering = self._rendering(run.base) if run.base else None
        if run.merged is None:
            return
        if not (found := self._problems(run.merged)):
            run.merged_rendering = self.renderer.rendering(run.merged)
            run.keys = self._changed_keys(run.base, run.merged) if run.base and run.base_rendering else []
        run.findings = [replace(problem, level=Level.WARNING) for problem in found]
        run.findings += self._secrets(run)

    def _examine_deployed(self, run: RunReview) -> None:
        """Set the action, the renderings and the findings of a run."""
        base, merged = run.base, run.merged
        if base and base.chart_version and self.renderer.chart(base) is None:
            message = sentence("The git tag {} is missing in this clone. Fetch all tags.", tag(base.chart_version))
            run.findings.append(Finding(Level.UNKNOWN, run.path, message))
            return
        # A file that cannot be rendered never started a run, so fixing it starts the run.
        run.base_rendering = self._rendering(base) if base else None
        started = base if run.base_rendering else None
        if merged is None:
            run.action = Action.DELETED
            run.findings += self._deleted(started) if started else []
            return
        run.findings = self._problems(merged) or list(self._missing_version(merged))
        if not any(finding.level is Level.REFUSED for finding in run.findings):
            run.merged_rendering = self.renderer.rendering(merged)
            run.rights = rights_of(self.renderer.active(merged), merged.values)
            run.base_rights = rights_of(self.renderer.active(started), started.values) if started else None
            self._compare(run, started, merged)
            run.findings += self._missing_tag(run, merged)
        run.findings += self._secrets(run)

    def _problems(self, job: CommittedJobFile) -> list[Finding]:
        """Return the problems that `tfd check` reports."""
        version = self.renderer.charts.newest().version
        return [problems.finding(job, problem, version) for problem in self.renderer.problems(job)]

    def _missing_version(self, job: CommittedJobFile) -> Iterator[Finding]:
        """Yield a finding if a job file without problems selects no chart."""
        if job.chart_version is None:
            version = self.renderer.charts.newest().version
            template = "chartVersion: got nothing; expected the version of a chart. Set chartVersion: {}."
            suggestion = fixes.with_chart_version(job, version)
            yield Finding(Level.REFUSED, job.path, sentence(template, version), suggestion=suggestion)

    def _missing_tag(self, run: RunReview, job: CommittedJobFile) -> Iterator[Finding]:
        """Yield a warning if the chart of the run has no git tag yet."""
        chart = self.renderer.chart(job)
        if chart and not chart.released:
            run.missing_tag = tag(chart.version) if run.action in STARTING else ""
            template = "Argo CD cannot render the run before the git tag {} exists. Push the tag."
            yield Finding(Level.WARNING, job.path, sentence(template, tag(chart.version)))

    def _secrets(self, run: RunReview) -> Iterator[Finding]:
        """Yield the values that look like a secret and are new in the file."""
        known = {secret.text for secret in _secrets_in(run.base)} if run.base else set()
        if run.merged:
            new = (secret for secret in _secrets_in(run.merged) if secret.text not in known)
            yield from self.policy.of_secrets(run.merged, new)

    def _compare(self, run: RunReview, base: CommittedJobFile | None, merged: CommittedJobFile) -> None:
        """Compare a readable file with its version on the base, or with the nearest earlier run."""
        if run.merged_rendering is None:
            return
        run.keys = self._changed_keys(base, merged) if base else []
        run.action = action_of(base, merged, same=not run.keys)
        if base and run.base_rendering:
            run.findings += self._final_keys(run, base, merged, run.base_rendering, run.merged_rendering)
        if run.action in ADDING:
            run.findings += self._added(run, merged)
        others = self.merged_tree.jobs.values()
        if run.rights:
            run.findings += self.policy.of_run(merged, run.action, run.rights, run.base_rights, others)
            run.findings += self._endless(run, merged, run.rights)

    def _endless(self, run: RunReview, job: CommittedJobFile, rights: Rights) -> Iterator[Finding]:
        """Yield a finding if GPUs of the run have no deadline: nothing would ever free them."""
        kept = run.base_rights.request.endless_gpus if run.base_rights and run.action not in STARTING else 0
        if rights.request.endless_gpus > kept:
            message = sentence(
                f"tensorboard.resources: got {decimal(rights.request.endless_gpus)} GPUs without a deadline; expected "
                "GPUs in tasks only. Remove them and set gpus of a role."
            )
            line, column = job.document.position(("tensorboard", "resources")) if job.document else (1, 1)
            yield Finding(Level.REFUSED, job.path, message, line, column)

    def _final_keys(
        self,
        run: RunReview,
        base: CommittedJobFile,
        merged: CommittedJobFile,
        base_rendering: Rendering,
        merged_rendering: Rendering,
    ) -> Iterator[Finding]:
        """Yield the changed keys that must not change in a merged run."""
        both = base_rendering.immutable.keys() & merged_rendering.immutable.keys()
        if "archived" not in (base.state, merged.state) and all(
            base_rendering.immutable[name] == merged_rendering.immutable[name] for name in both
        ):
            return
        taken = {job.run for tree in (self.base_tree, self.merged_tree) for job in tree.jobs.values()}
        for change in run.keys:
            if change.kind in FINAL:
                line, column = merged.document.position(change.key) if merged.document else (1, 1)
                message = sentence(
                    f"{{}}: got {{}}; expected {{}}, the {change.kind} value of the merged run. "
                    "Copy the job file to a new run and restore this one.",
                    dotted(change.key), _as_written(change.merged), _as_written(change.base),
                )  # fmt: skip
                fix = fixes.copy_command(base, self.base_commit, taken)
                yield Finding(Level.REFUSED, run.path, message, line, column, fix=fix)

    def _added(self, run: RunReview, new: CommittedJobFile) -> Iterator[Finding]:
        """Yield the findings about a new run, and set the run that it is compared with."""
        for other in of_one_application(new, self.merged_tree.jobs.values()):
            message = sentence(
                "got the Application name {}, which {} also gives; expected a unique name. Rename this file.",
                f"{new.team}-{new.run}", other.path,
            )  # fmt: skip
            yield Finding(Level.REFUSED, new.path, message)
        yield from self._shared_objects(run, new)
        yield from self.policy.of_chart(new, self.renderer.charts.newest().version)
        if not new.tensorboard_only:
            self._set_nearest(run, new)
            yield from self._same_identity(new)
        if new.path in self.history.deleted_paths:
            message = sentence(
                "A deleted run had this name. If its run directory still exists, only a run with the same identity "
                "can start there."
            )
            yield Finding(Level.WARNING, new.path, message)
        yield from self._warm_start(new)

    def _shared_objects(self, run: RunReview, new: CommittedJobFile) -> Iterator[Finding]:
        """Yield the objects of other runs that the new run would take over: Argo CD applies both to one object."""
        for other, name in objects.shared(new, self.merged_tree.jobs.values(), self.renderer):
            message = sentence(
                "got the object {}, which {} also has; expected objects of this run only. Rename this file.",
                name, other.path,
            )  # fmt: skip
            yield Finding(Level.REFUSED, new.path, message)
        if run.merged_rendering:
            line, column = new.document.position(("storage", "create")) if new.document else (1, 1)
            for other, name in objects.taken_claims(run.merged_rendering, new, self.base_tree.jobs.values()):
                message = sentence(
                    "storage.create: got the new claim {}, which {} already uses; expected a claim of this run only. "
                    "Rename this file.",
                    name, other.path,
                )  # fmt: skip
                yield Finding(Level.REFUSED, new.path, message, line, column)

    def _set_nearest(self, run: RunReview, new: CommittedJobFile) -> None:
        run.nearest = self.history.nearest(new)
        if run.nearest and run.merged_rendering:
            try:
                run.nearest_rendering = self.history.rendered_as(run.nearest, new)
            except helm.HelmError:
                run.nearest = None  # Its chart does not exist any more.
            else:
                run.differences = [
                    *differences(run.nearest_rendering, run.merged_rendering),
                    *self._other_differences(run.nearest, new),
                ]

    def _same_identity(self, new: CommittedJobFile) -> Iterator[Finding]:
        """Yield one warning that names all runs with the identity of `new`."""
        deleted = self.history.deleted_paths
        # A run that this pull request deletes is reported as renamed instead.
        found = [
            job.path
            for job in self.history.same_identity(new)
            if job.path in self.merged_tree.jobs or job.path in deleted
        ]
        if found:
            names = ", ".join("{} (deleted)" if path in deleted else "{}" for path in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""  # noqa: PLR2004
            message = sentence(f"Repeats the training of {names}{more}. The identity hash is the same.", *found[:3])
            yield Finding(Level.WARNING, new.path, message)

    def _changed_keys(self, base: CommittedJobFile, merged: CommittedJobFile) -> list[KeyChange]:
        charts = [self.renderer.chart(job) or self.renderer.charts.newest() for job in (base, merged)]
        return changed_keys(base.values, merged.values, charts[0].folder, charts[1].folder)

    def _other_differences(self, nearest: CommittedJobFile, new: CommittedJobFile) -> list[KeyChange]:
        """Return the keys outside the identity that change the cost or the place of a run."""
        found = self._changed_keys(nearest, new)
        return [change for change in found if change.kind == "immutable" or change.key in (("deadline",), ("retries",))]

    def _warm_start(self, job: CommittedJobFile) -> Iterator[Finding]:
        name = job.values.get("warmStartFrom")
        if not name:
            return
        line, column = job.document.position(("warmStartFrom",)) if job.document else (1, 1)
        path = f"jobs/{job.team}/{name}.yaml"
        parent = self.merged_tree.jobs.get(path)
        if parent is None:
            template = "warmStartFrom: {} does not exist. The storage must contain the run directory of that run."
        elif parent.state == "active":
            template = "warmStartFrom: {} is active. The run starts from the newest checkpoint at that time."
        else:
            return
        yield Finding(Level.WARNING, job.path, sentence(template, path), line, column)

    def _deleted(self, base: CommittedJobFile) -> Iterator[Finding]:
        if base.state == "active" and not base.tensorboard_only:
            message = sentence(
                "got a deletion, which ends all pods of an active run; expected a suspended or archived run. "
                "Restore the file and merge {} or {} before you delete it.",
                "state: suspended", "state: archived",
            )  # fmt: skip
            fix = f"git checkout {self.base_commit[:12]} -- {base.path}"
            yield Finding(Level.REFUSED, base.path, message, fix=fix)

    def _rendering(self, job: CommittedJobFile) -> Rendering | None:
        if job.chart_version is None or self.renderer.chart(job) is None:
            return None
        try:
            return self.renderer.rendering(job)
        except helm.HelmError:
            return None


@lru_cache(maxsize=1024)
def _secrets_in(job: CommittedJobFile) -> tuple[Secret, ...]:
    return tuple(find_secrets(job.values, job.data.decode(errors="replace")))


def _as_written(value: object) -> str:
    return "nothing" if value == UNSET else shown(value)
