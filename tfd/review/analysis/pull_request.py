"""The review of a pull request: both trees, every changed job file, and what they do together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfd.jobfile import helm
from tfd.review.analysis import policy
from tfd.review.analysis.actions import STARTING, Action
from tfd.review.analysis.argocd import Emulation, emulate
from tfd.review.analysis.findings import Finding, Level
from tfd.review.analysis.history import Earlier, deleted_jobs
from tfd.review.analysis.policy import Policy
from tfd.review.analysis.policy_file import FILE, RulesError, load_rules
from tfd.review.analysis.run_review import Judge, RunReview
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import Repository
from tfd.review.sources.job_files import FOLDER, is_job_path, read_tree
from tfd.review.sources.renderer import Renderer

# Each costs some tenths of a second; nobody reads more.
MOST_CHANGED = 200


@dataclass
class Review:
    """All that a card says."""

    base: str
    head: str
    runs: list[RunReview]
    findings: list[Finding]
    """About no single run."""
    applications: tuple[Emulation, Emulation]
    """Before and after the merge."""
    other_paths: list[str]
    """Changed, but no job files."""

    @property
    def all_findings(self) -> list[Finding]:
        """Every finding, those about no single run first."""
        return [*self.findings, *(finding for run in self.runs for finding in run.findings)]

    def of_level(self, level: Level) -> list[Finding]:
        """Return the findings of one level."""
        return [finding for finding in self.all_findings if finding.level is level]

    @property
    def exit_code(self) -> int:
        """0 fine, 1 refused, 2 can't tell."""
        if self.of_level(Level.REFUSED):
            return 1
        return 2 if self.of_level(Level.UNKNOWN) else 0


def review(repository: Repository, base_ref: str, head_ref: str, approvals: Iterable[str]) -> Review:
    """Return what merging `head_ref` into `base_ref` would do.

    Raises:
        GitError, RulesError, HelmError: that can't be told; the message says why.

    """
    base, head = repository.commit(base_ref), repository.commit(head_ref)
    merged = repository.merged(base, head)
    helm.find_helm()
    rules = load_rules(repository, base)
    with _workplace() as folder:
        renderer = Renderer(Charts(repository, base, folder / "charts"), folder / "jobs")
        before = read_tree(repository, base)
        after = read_tree(repository, merged, before.jobs.values())
        added = [job for path, job in after.jobs.items() if path not in before.jobs]
        earlier = Earlier(renderer, list(before.jobs.values()), deleted_jobs(repository, base), added)
        judge = Judge(base, (before, after), renderer, Policy(rules, tuple(approvals)), earlier)
        changed = repository.changed(base, merged)
        free = tuple(f"{FOLDER}/{team}/" for team in rules.not_deployed)
        paths = [path for path in changed if is_job_path(path) or (path in after.refused and not path.startswith(free))]
        runs = [judge.review(path) for path in paths[:MOST_CHANGED]]
        others = sorted(set(changed) - set(paths))
        findings = [*_too_many(paths), *_renamed(runs, earlier), *_together(judge, runs, others)]
        findings += _rules_of_the_head(repository, merged) if FILE in changed else []
        was = emulate(before, rules.not_deployed, {})
        sets = was, emulate(after, rules.not_deployed, was.made)
        findings += _stopped(sets[1], set(changed))
    return Review(base, head, runs, findings, sets, others)


@contextmanager
def _workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tfd-review-") as name:
        yield Path(name)


def _together(judge: Judge, runs: list[RunReview], others: list[str]) -> Iterator[Finding]:
    """Yield what the changes mean together."""
    rules = judge.policy.rules
    deployed = [run for run in runs if run.action is not Action.CHECKED]
    for team in sorted({job.team for run in deployed if (job := run.after)} - rules.not_deployed):
        before, after = (policy.team_gpus(team, tree.jobs.values(), judge.renderer, rules) for tree in judge.trees)
        yield from judge.policy.of_team(team, before, after)
    starting = sum(run.action in STARTING for run in runs)
    yield from judge.policy.of_change(starting, bool(deployed), others)


def _too_many(paths: list[str]) -> Iterator[Finding]:
    if len(paths) > MOST_CHANGED:
        message = f"got {len(paths):,} changed job files, but one pull request may change {MOST_CHANGED}; split it"
        yield Finding(Level.REFUSED, f"{FOLDER}/", message)


def _rules_of_the_head(repository: Repository, merged: str) -> Iterator[Finding]:
    """Yield why no review could be told any more after the merge."""
    try:
        load_rules(repository, merged)
    except RulesError as error:
        yield Finding(Level.REFUSED, FILE, str(error))


def _renamed(runs: list[RunReview], earlier: Earlier) -> Iterator[Finding]:
    """Yield what looks like a rename: Argo CD knows no such thing."""
    for old in (run.before for run in runs if run.action is Action.DELETED and run.before):
        for run in runs:
            if run.before is None and run.after and run.now and old in earlier.same(run.after):
                message = (
                    f"looks like {old.path} renamed, but that ends {old.name} and starts {run.name} at step 0 in "
                    f"another directory; with warmStartFrom: {old.run} it would start from its newest checkpoint"
                )
                yield Finding(Level.WARNING, run.path, message)


def _stopped(after: Emulation, changed: set[str]) -> Iterator[Finding]:
    """Yield the files over which a team's ApplicationSet stops and that this pull request leaves as they are."""
    for stop in after.stops:
        if stop.path not in changed:
            message = f"{stop.why}: Argo CD starts, changes and ends no run of {stop.team} until it is mended"
            yield Finding(Level.WARNING, stop.path, message)
