"""Applies the rules of review.yaml to one run, to one team and to the whole pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tfd.jobfile.helm_yaml import Key
from tfd.review.analysis import fleet
from tfd.review.analysis.actions import ADDING, STARTING, Action
from tfd.review.analysis.allowed import OTHER_TEAMS, RULES, AllowRule, denied, expected, of_other_teams
from tfd.review.analysis.findings import Finding, Level, Message, sentence
from tfd.review.analysis.limits import PER_RUN, PER_TEAM
from tfd.review.analysis.policy_file import Rules
from tfd.review.analysis.rights import Right, Rights
from tfd.review.analysis.secrets import Secret
from tfd.review.analysis.team_queues import FILE as TEAMS
from tfd.review.analysis.team_queues import TeamQueues
from tfd.review.sources.job_files import CommittedJobFile
from tfd.review.sources.quantities import decimal
from tfd.review.sources.workloads import ResourceRequest
from tfd.text import dotted


@dataclass(frozen=True)
class Policy:
    """The rules, and who has approved the pull request."""

    rules: Rules
    approvals: tuple[str, ...]
    queues: TeamQueues = field(default_factory=TeamQueues)
    """The queues that argocd/ gives to teams on the base branch."""

    def of_run(
        self,
        job: CommittedJobFile,
        action: Action,
        rights: Rights,
        base_rights: Rights | None,
        others: Iterable[CommittedJobFile],
    ) -> Iterator[Finding]:
        """Yield the violations of one run that the merge adds or changes."""
        others = list(others)
        if action in ADDING:
            yield from self._names(job, others)
        # A merged run keeps what it has. A run that starts again is judged like a new one.
        kept = base_rights if action not in STARTING else None
        yield from self._digests(job, rights, kept)
        deployed = [other for other in others if other.team not in self.rules.not_deployed]
        for name, rule in RULES.items():
            taken, known = (_taken(name, each, job, deployed) if each else () for each in (rights, kept))
            yield from self._denied(name, rule, job, (right for right in taken if right not in known))
        yield from self._limits(job, kept.request if kept else ResourceRequest(), rights.request)

    def of_queue(self, job: CommittedJobFile, named: set[str], kept: set[str]) -> Iterator[Finding]:
        """Yield a violation if tasks of a team with a queue do not wait in it, because no quota would limit them.

        Args:
            job: the job file.
            named: the queues of its tasks, as `Rendering.queues` has them.
            kept: the same for the merged run that it changes.

        """
        if job.team in self.queues.quotas and (wrong := named - {job.team}) and named != kept:
            text = f"got {{}}; expected {{}}, the queue that {TEAMS} gives to the team. Set scheduling.queue: {{}}."
            got = ", ".join(sorted(filter(None, wrong))) or "nothing"
            yield from self._violation("teamQueue", job, ("scheduling", "queue"), text, got, job.team, job.team)

    def of_chart(self, job: CommittedJobFile, newest: str) -> Iterator[Finding]:
        """Yield a violation if a file chooses an old chart, else a warning if it does not choose the newest one."""
        version = job.chart_version or newest
        oldest = self.rules.by_name.get("charts", {}).get("oldest", version)
        if _numbers(version) < _numbers(oldest):
            text = "got {}; expected {} or newer. Set chartVersion: {}."
            yield from self._violation("charts", job, ("chartVersion",), text, version, oldest, newest)
        elif version != newest:
            line, column = job.document.position(("chartVersion",)) if job.document else (1, 1)
            text = "chartVersion: {} is not {}, the current chart. Its rules and fixes do not apply."
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

    def of_team(self, team: str, base: ResourceRequest, merged: ResourceRequest) -> Iterator[Finding]:
        """Yield a violation for each limit of a team above which the merge raises the sum over its runs."""
        for name, limit in PER_TEAM.items():
            most = self.rules.most(name, team)
            before, after = limit.amount(base), limit.amount(merged)
            if after > max(most, before):
                message = sentence(
                    f"got {limit.shown(after)} in the job files of the team ({limit.shown(before)} on the base); "
                    f"expected at most {limit.shown(most)}. {limit.fix}"
                )
                yield self._finding(name, Finding(Level.REFUSED, f"jobs/{team}/", message))

    def of_change(self, starting: int, runs_changed: bool, paths: Iterable[str]) -> Iterator[Finding]:
        """Yield the violations of the pull request as a whole."""
        rule = self.rules.by_name.get("newRuns")
        if rule and starting > rule["most"]:
            most = decimal(rule["most"])
            message = sentence(
                f"got {starting} runs and workbenches that start; expected at most {most} in one pull request. "
                "Split the pull request."
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

    def _digests(self, job: CommittedJobFile, rights: Rights, kept: Rights | None) -> Iterator[Finding]:
        for image in rights.images:
            if "@sha256:" not in image.value and (not kept or image not in kept.images):
                text = f"got {{}}{_default(job, image.key)}; expected an image with a digest. "
                text += f"Set {dotted(image.key) or 'an image'}: registry/name@sha256:DIGEST."
                yield from self._violation("imageDigest", job, image.key, text, image.value)

    def _denied(
        self, name: str, rule: AllowRule, job: CommittedJobFile, taken: Iterable[Right]
    ) -> Iterator[Finding]:  # fmt: skip
        if name not in self.rules.by_name:
            return
        patterns = self.rules.allowed(name, job.team)
        for right in denied(rule, patterns, job.team, taken):
            fix = rule.fix.format(rule=name, key=dotted(right.key) or "an allowed one")
            words, values = expected(rule, patterns, job.team)
            text = f"got {{}}{_default(job, right.key)}; expected {words}. {fix}"
            yield from self._violation(name, job, right.key, text, right.value, *values)

    def _limits(self, job: CommittedJobFile, kept: ResourceRequest, request: ResourceRequest) -> Iterator[Finding]:
        """Yield the limits that the change exceeds."""
        for name, limit in PER_RUN.items():
            most = self.rules.most(name, job.team)
            if limit.amount(request) > max(most, limit.amount(kept)):
                text = f"got {limit.shown(limit.amount(request))}; expected at most {limit.shown(most)} "
                expected = limit.expected.format(job.kind.noun)
                yield from self._violation(name, job, limit.key, f"{text}{expected}. {limit.fix}")

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


def _default(job: CommittedJobFile, key: Key) -> str:
    """Return words for a value that the job file leaves to the chart."""
    written = job.document is not None and any(place[: len(key)] == key for place in job.document.positions)
    return "" if written else " by default"


def _taken(
    name: str, rights: Rights, job: CommittedJobFile, others: Iterable[CommittedJobFile]
) -> tuple[Right, ...]:  # fmt: skip
    return tuple(of_other_teams(job, rights, others)) if name == OTHER_TEAMS else RULES[name].taken(rights)
