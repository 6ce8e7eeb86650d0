"""Applies the rules of review.yaml to one run, to one team and to the whole pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfd.jobfile.helm_yaml import Key
from tfd.review.analysis import fleet
from tfd.review.analysis.actions import ADDING, STARTING, Action
from tfd.review.analysis.findings import Finding, Level, Message, sentence
from tfd.review.analysis.policy_file import Rules
from tfd.review.analysis.secrets import Secret
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.quantities import decimal
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import ResourceRequest
from tfd.text import dotted


@dataclass(frozen=True)
class Policy:
    """The rules, and who has approved the pull request."""

    rules: Rules
    approvals: tuple[str, ...]

    def of_run(
        self,
        job: CommittedJobFile,
        action: Action,
        base: CommittedJobFile | None,
        base_rendering: Rendering | None,
        merged_rendering: Rendering,
        others: Iterable[CommittedJobFile],
    ) -> Iterator[Finding]:
        """Yield the violations of one run that the merge adds or changes."""
        if action in ADDING:
            yield from self._names(job, others)
        # An archived run renders no Job, so its images count as new when it starts again.
        known = set(images(base, base_rendering)) if base and base_rendering else set()
        yield from self._images(job, set(images(job, merged_rendering)) - known)
        # A merged run may stay as large as it is.
        kept = base_rendering.request if base_rendering and action not in STARTING else ResourceRequest()
        yield from self._limits(job, kept, merged_rendering.request)

    def of_chart(self, job: CommittedJobFile, newest: str) -> Iterator[Finding]:
        """Yield a violation if a new run uses an old chart, else a warning if it does not use the newest one."""
        version = job.chart_version or newest
        oldest = self.rules.by_name.get("charts", {}).get("oldest", version)
        if _numbers(version) < _numbers(oldest):
            text = "got {}; expected {} or newer for a new run. Set chartVersion: {}."
            yield from self._violation("charts", job, ("chartVersion",), text, version, oldest, newest)
        elif version != newest:
            line, column = job.document.position(("chartVersion",)) if job.document else (1, 1)
            text = "chartVersion: {} is not {}, the chart of the base branch. Its rules and fixes do not apply."
            yield Finding(Level.WARNING, job.path, sentence(text, version, newest), line, column)

    def of_secrets(self, job: CommittedJobFile, secrets: Iterable[Secret]) -> Iterator[Finding]:
        """Yield a violation for each key that holds a value that looks like a secret."""
        seen: set[Key] = set()
        for secret in secrets:
            if secret.key not in seen:
                seen.add(secret.key)
                yield from self._violation(
                    "literalSecrets", job, secret.key,
                    f"got a value that looks like a secret ({secret.why}); expected a reference to a Kubernetes "
                    "Secret. Move the value to a Secret, read it with valueFrom.secretKeyRef in env, and revoke "
                    "the old value.",
                    *filter(None, [secret.name]),
                )  # fmt: skip

    def of_team(self, team: str, base_gpus: int, merged_gpus: int) -> Iterator[Finding]:
        """Yield a violation if the merge raises the GPUs of a team above its limit."""
        rule = self.rules.by_name.get("gpusPerTeam")
        if rule is None:
            return
        most = rule.get("teams", {}).get(team, rule["most"])
        if merged_gpus > max(most, base_gpus):
            message = sentence(
                f"got {decimal(merged_gpus)} GPUs in the active job files of the team ({decimal(base_gpus)} on the "
                f"base); expected at most {decimal(most)}. Archive finished runs or request fewer GPUs."
            )
            yield self._finding("gpusPerTeam", Finding(Level.REFUSED, f"jobs/{team}/", message))

    def of_change(self, starting: int, runs_changed: bool, paths: Iterable[str]) -> Iterator[Finding]:
        """Yield the violations of the pull request as a whole."""
        rule = self.rules.by_name.get("newRuns")
        if rule and starting > rule["most"]:
            most = decimal(rule["most"])
            message = sentence(
                f"got {starting} runs that start; expected at most {most} in one pull request. Split the pull request."
            )
            yield self._finding("newRuns", Finding(Level.REFUSED, "jobs/", message))
        if "separateChanges" in self.rules.by_name and runs_changed:
            for place in self.rules.by_name["separateChanges"]["apart"]:
                if found := [path for path in paths if is_below(path, place)]:
                    message = sentence(
                        "got a policy change together with job files; expected a pull request for each. "
                        "Split the pull request."
                    )
                    yield self._finding("separateChanges", Finding(Level.REFUSED, found[0], message))

    def changes_policy(self, path: str) -> bool:
        """Return whether a path decides which job files may be merged."""
        places = self.rules.by_name.get("separateChanges", {}).get("apart", [])
        return any(is_below(path, place) for place in ("review.yaml", *places))

    def _images(self, job: CommittedJobFile, new: set[tuple[Key, str]]) -> Iterator[Finding]:
        for key, image in sorted(new):
            if "@sha256:" not in image:
                text = "got {}; expected an image with a digest. Set registry/name@sha256:DIGEST."
                yield from self._violation("imageDigest", job, key, text, image)
            allowed = self.rules.by_name.get("registries", {}).get("allowed", [])
            if not any(image.startswith(f"{place.rstrip('/')}/") for place in allowed):
                text = "got {}; expected an image from {}. Push it there and set the new name."
                yield from self._violation("registries", job, key, text, image, ", ".join(allowed))

    def _limits(self, job: CommittedJobFile, kept: ResourceRequest, request: ResourceRequest) -> Iterator[Finding]:
        """Yield the limits that the change exceeds."""
        most = self.rules.by_name.get("gpusPerRun", {}).get("most", request.gpus)
        if request.gpus > max(most, kept.gpus):
            text = (
                f"got {decimal(request.gpus)} GPUs; expected at most {decimal(most)} in one run. "
                "Set fewer tasks or fewer GPUs for each task."
            )
            yield from self._violation("gpusPerRun", job, (), text)
        most = self.rules.by_name.get("gpuHours", {}).get("most", request.gpu_hours)
        if request.gpu_hours > max(most, kept.gpu_hours):
            text = (
                f"got {decimal(request.gpu_hours)} GPU-hours; expected at most {decimal(most)} without a second "
                "approval. Set a shorter deadline or fewer GPUs, or ask for an approval."
            )
            yield from self._violation("gpuHours", job, ("deadline",), text)

    def _names(self, job: CommittedJobFile, others: Iterable[CommittedJobFile]) -> Iterator[Finding]:
        others = list(others)
        for other in fleet.of_one_name(job, others):
            text = "got run name {}, as in {}; expected a name that no other team uses. Rename this file."
            yield from self._violation("uniqueNames", job, (), text, job.run, other.path)
        for other, directory in fleet.sharing_output(job, others):
            text = (
                "got the output directory {}, which {} shares; expected an output directory for this run only. "
                "Rename this file or set another storage."
            )
            yield from self._violation("sharedOutput", job, ("storage",), text, directory, other.path)

    def _violation(
        self, rule: str, job: CommittedJobFile, key: Key, template: str, *values: object
    ) -> Iterator[Finding]:
        if rule in self.rules.by_name:
            line, column = job.document.position(key) if job.document else (1, 1)
            message = of_key(key, template, *values)
            yield self._finding(rule, Finding(Level.REFUSED, job.path, message, line, column))

    def _finding(self, rule: str, finding: Finding) -> Finding:
        return self.rules.finding(rule, self.approvals, finding)


def of_key(key: Key, template: str, *values: object) -> Message:
    """Return a message about a key of a job file, or about the whole file for the empty key."""
    return sentence(f"{{}}: {template}", dotted(key), *values) if key else sentence(template, *values)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def is_below(path: str, place: str) -> bool:
    """Return whether a path is `place`, or inside it if `place` ends with a slash."""
    return path == place or (place[-1] == "/" and path.startswith(place))


def images(job: CommittedJobFile, rendering: Rendering) -> Iterator[tuple[Key, str]]:
    """Yield the image of the tasks, and every other image that the job file sets."""
    for workload in rendering.jobs[:1]:
        [container] = workload["spec"]["template"]["spec"]["containers"]
        yield ("image",), container["image"]
    for block in ("code", "tensorboard"):
        written = job.values.get(block, {})
        if "image" in written:
            yield (block, "image"), written["image"]


def team_gpus(team: str, jobs: Iterable[CommittedJobFile], renderer: Renderer, rules: Rules) -> int:
    """Return the GPUs of a team, or 0 if no rule limits them."""
    return fleet.gpus_of_team(team, jobs, renderer) if "gpusPerTeam" in rules.by_name else 0
