"""The rules of review.yaml, held against one run, one team and the whole pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfd.jobfile.helm_yaml import Key
from tfd.review.analysis import fleet
from tfd.review.analysis.actions import ADDING, STARTING, Action
from tfd.review.analysis.findings import Finding, Level
from tfd.review.analysis.policy_file import Rules
from tfd.review.analysis.secrets import Secret
from tfd.review.sources.job_files import Job
from tfd.review.sources.quantities import number
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering
from tfd.text import dotted


@dataclass(frozen=True)
class Policy:
    """The rules, and who has approved the pull request."""

    rules: Rules
    approvals: tuple[str, ...]

    def of_run(
        self,
        job: Job,
        action: Action,
        old: Job | None,
        before: Rendering | None,
        after: Rendering,
        others: Iterable[Job],
    ) -> Iterator[Finding]:
        """Yield what the rules say about one run that merging adds or changes."""
        if action in ADDING:
            yield from self._names(job, others)
        # Those of an archived run are not there: who brings it to life has to answer for them.
        known = set(images(old, before)) if old and before else set()
        yield from self._images(job, set(images(job, after)) - known)
        yield from self._limits(job, action, before, after)

    def of_secrets(self, job: Job, secrets: Iterable[Secret]) -> Iterator[Finding]:
        """Yield a finding for each key that holds what looks like a secret."""
        told: set[Key] = set()
        for secret in secrets:
            if secret.key not in told:
                told.add(secret.key)
                message = (
                    f"got a literal value that looks like a secret ({secret.why}), but git is no place for one; "
                    "put it into a Kubernetes Secret, name that with valueFrom.secretKeyRef, and revoke this value"
                )
                yield from self._breach("literalSecrets", job, secret.key, message)

    def of_team(self, team: str, before: int, after: int) -> Iterator[Finding]:
        """Yield what the rules say about the GPUs of a team, before and after the merge."""
        rule = self.rules.by_name.get("gpusPerTeam")
        if rule is None:
            return
        most = rule.get("teams", {}).get(team, rule["most"])
        if after > max(most, before):
            message = (
                f"got {number(after)} GPUs in all active files of the team ({number(before)} before), but at most "
                f"{number(most)} are allowed; archive what is finished, or ask for fewer"
            )
            yield self._finding("gpusPerTeam", Finding(Level.REFUSED, f"jobs/{team}/", message))

    def of_change(self, starting: int, runs_changed: bool, paths: Iterable[str]) -> Iterator[Finding]:
        """Yield what the rules say about the pull request as a whole."""
        rule = self.rules.by_name.get("newRuns")
        if rule and starting > rule["most"]:
            message = f"got {starting} runs that start, but one pull request may start {number(rule['most'])}; split it"
            yield self._finding("newRuns", Finding(Level.REFUSED, "jobs/", message))
        if "separateChanges" in self.rules.by_name and runs_changed:
            apart = tuple(self.rules.by_name["separateChanges"]["apart"])
            for place in apart:
                if found := [path for path in paths if path == place or (place[-1] == "/" and path.startswith(place))]:
                    message = (
                        "got a change of this and of job files, but what decides about a run is never changed "
                        "together with one; make two pull requests of it"
                    )
                    yield self._finding("separateChanges", Finding(Level.REFUSED, found[0], message))

    def _images(self, job: Job, new: set[tuple[Key, str]]) -> Iterator[Finding]:
        for key, image in sorted(new):
            if "@sha256:" not in image:
                message = f"got {image}, but a tag may be moved under a run; set registry/name@sha256:DIGEST"
                yield from self._breach("imageDigest", job, key, message)
            allowed = self.rules.by_name.get("registries", {}).get("allowed", [])
            if not any(image.startswith(f"{place.rstrip('/')}/") for place in allowed):
                message = f"got {image}, but images come from {', '.join(allowed)}; push it there and set that name"
                yield from self._breach("registries", job, key, message)

    def _limits(self, job: Job, action: Action, before: Rendering | None, after: Rendering) -> Iterator[Finding]:
        """Yield limits that the change exceeds; what was merged before may stay as large as it is."""
        was = before.need if before and action not in STARTING else None
        gpus, hours = after.need.gpus, after.need.gpu_hours
        most = self.rules.by_name.get("gpusPerRun", {}).get("most", gpus)
        if gpus > max(most, was.gpus if was else 0):
            message = f"got {number(gpus)} GPUs, but a run may have {number(most)}; set fewer tasks or gpus"
            yield from self._breach("gpusPerRun", job, (), message)
        most = self.rules.by_name.get("gpuHours", {}).get("most", hours)
        if hours > max(most, was.gpu_hours if was else 0):
            message = (
                f"got {number(hours)} GPU-hours until the deadline, but above {number(most)} a second approval is "
                "needed; set a shorter deadline or fewer GPUs, or ask for it"
            )
            yield from self._breach("gpuHours", job, ("deadline",), message)

    def _names(self, job: Job, others: Iterable[Job]) -> Iterator[Finding]:
        others = list(others)
        for other in fleet.of_one_name(job, others):
            message = f"got the run name {job.run}, but {other.path} has it too; rename this file"
            yield from self._breach("uniqueNames", job, (), message)
        for other, directory in fleet.sharing_output(job, others):
            message = f"writes into {directory}, as {other.path} does; rename this file or set another storage"
            yield from self._breach("sharedOutput", job, ("storage",), message)

    def _breach(self, rule: str, job: Job, key: Key, message: str) -> Iterator[Finding]:
        if rule in self.rules.by_name:
            line, column = job.document.position(key) if job.document else (1, 1)
            text = f"{dotted(key)}: {message}" if key else message
            yield self._finding(rule, Finding(Level.REFUSED, job.path, text, line, column))

    def _finding(self, rule: str, finding: Finding) -> Finding:
        return self.rules.finding(rule, self.approvals, finding)


def images(job: Job, rendering: Rendering) -> Iterator[tuple[Key, str]]:
    """Yield the image of the tasks, and every other image that the job file names itself."""
    for workload in rendering.jobs[:1]:
        [container] = workload["spec"]["template"]["spec"]["containers"]
        yield ("image",), container["image"]
    for block in ("code", "tensorboard"):
        written = job.values.get(block, {})
        if "image" in written:
            yield (block, "image"), written["image"]


def team_gpus(team: str, jobs: Iterable[Job], renderer: Renderer, rules: Rules) -> int:
    """Return the GPUs of a team if a rule asks for them."""
    return fleet.gpus_of_team(team, jobs, renderer) if "gpusPerTeam" in rules.by_name else 0
