"""Reviews a pull request: both trees, every changed job file, and their effect together."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tfd.jobfile import helm
from tfd.kinds import FOLDERS, RUN
from tfd.review.analysis.actions import ADDING, STARTING, Action
from tfd.review.analysis.argocd import Emulation, emulate
from tfd.review.analysis.checkouts import checkout_findings
from tfd.review.analysis.findings import Finding, Level, parsed, sentence
from tfd.review.analysis.fleet import Totals
from tfd.review.analysis.history import Deleted, History
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.policy import Policy
from tfd.review.analysis.policy_file import DEFAULT, FILE, MISSING, Rules, RulesError, load_rules
from tfd.review.analysis.queue_places import MOST_KINDS, counted, set_places
from tfd.review.analysis.reviewer import RunReviewer
from tfd.review.analysis.run_review import RunReview
from tfd.review.analysis.team_queues import FILE as TEAMS
from tfd.review.analysis.team_queues import TeamQueues, invalid_queues, queues_of_base
from tfd.review.sources.budget import Budget, ReviewError
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import Repository
from tfd.review.sources.job_files import CommittedJobFile, is_job_path, read_tree
from tfd.review.sources.renderer import Renderer
from tfd.text import refusal

# Each takes some tenths of a second, and nobody reads more.
MOST_CHANGED = 200
# In all changed job files together. A value takes 200 bytes of memory.
MOST_VALUES = 500_000


@dataclass
class PullRequestReview:
    """The result of a review."""

    base: str
    """Commit of the base branch."""
    head: str
    """Commit of the pull request."""
    runs: list[RunReview]
    findings: list[Finding]
    """Findings about more than one run."""
    base_emulation: Emulation
    merged_emulation: Emulation
    policy_paths: list[str]
    """Changed paths that decide which job files may be merged."""
    other_paths: list[str]
    """All other changed paths that are not job files."""

    @property
    def all_findings(self) -> list[Finding]:
        """Every finding; those about more than one run come first."""
        return [*self.findings, *(finding for run in self.runs for finding in run.findings)]

    def of_level(self, level: Level) -> list[Finding]:
        """Return the findings of one level."""
        return [finding for finding in self.all_findings if finding.level is level]

    @property
    def exit_code(self) -> int:
        """0 if the merge is allowed, 1 if it is refused, 2 if it cannot be judged."""
        if self.of_level(Level.REFUSED):
            return 1
        return 2 if self.of_level(Level.UNKNOWN) else 0


def review_pull_request(
    repository: Repository, base_ref: str, head_ref: str, approvals: Iterable[str]
) -> PullRequestReview:
    """Return the review of merging `head_ref` into `base_ref`.

    Raises:
        GitError, RulesError, HelmError, RegistryError, ReviewError: the merge cannot be judged; the message is the
            reason.

    """
    budget = Budget()
    base, head = repository.commit(base_ref), repository.commit(head_ref)
    repository.irregular(head)  # a tree that is too large to list is too large to merge
    merged = repository.merge(base, head)
    helm.find_helm()
    # Only the base decides. A pull request that deletes the policy file is judged by the deleted one.
    rules = load_rules(repository, base) or DEFAULT
    queues, unread = queues_of_base(repository, base, rules)
    with _temporary_folder() as folder:
        renderer = Renderer(Charts(repository, base, folder / "charts"), folder / "jobs", budget)
        base_tree = read_tree(repository, base)
        merged_tree = read_tree(repository, merged, base_tree.jobs.values())
        changed = repository.changed(base, merged)
        free = tuple(f"{folder}/{team}/" for folder in FOLDERS for team in rules.not_deployed)
        paths = [
            path for path in changed if is_job_path(path) or (path in merged_tree.refused and not path.startswith(free))
        ]
        earlier = [job for job in base_tree.jobs.values() if job.kind is RUN]
        added = [job for path, job in merged_tree.jobs.items() if job.kind is RUN and path not in base_tree.jobs]
        history = History(renderer, earlier, Deleted(repository, base), added)
        merge = Merge(base, base_tree, merged_tree, renderer, Policy(rules, tuple(approvals), queues), history)
        totals = Totals(renderer)
        runs = _examined(merge, budget, totals, paths[:MOST_CHANGED])
        unplaced = _placed(merge, totals, runs)
        others = sorted(set(changed) - set(paths))
        findings = [
            *_defaults(rules),
            *unread,
            *unplaced,
            *checkout_findings(repository, base, merged, set(changed), set(paths) & merged_tree.refused.keys()),
            *_too_many(paths),
            *_without_set(runs, queues),
            *_judged(_renamed(runs, history)),
            *_judged(_together(merge, totals, runs, others)),
        ]
        findings += _invalid_policy(repository, merged) if FILE in changed else []
        findings += invalid_queues(repository, merged) if TEAMS in changed else []
        registry = renderer.charts.registry
        base_emulation = emulate(base_tree, rules.not_deployed, {}, registry)
        merged_emulation = emulate(merged_tree, rules.not_deployed, base_emulation.generated, registry)
        findings += _blocked(merged_emulation, set(changed))
    policy_paths = [path for path in others if merge.policy.changes_policy(path)]
    other_paths = [path for path in others if path not in policy_paths]
    return PullRequestReview(base, head, runs, findings, base_emulation, merged_emulation, policy_paths, other_paths)


def _examined(merge: Merge, budget: Budget, totals: Totals, paths: list[str]) -> list[RunReview]:
    """Return the reviews of changed files. Helm renders the first of them while the files of the others are parsed.

    Raises:
        ReviewError: the changed job files have too many values together, or the time is over.

    """
    renderer, reviewer = merge.renderer, RunReviewer(merge)
    base, merged = (
        [tree.jobs[path] for path in paths if path in tree.jobs] for tree in (merge.base_tree, merge.merged_tree)
    )
    known = merge.base_tree.jobs
    _parse(budget, (job for path, job in merge.merged_tree.jobs.items() if known.get(path) is not job), MOST_VALUES)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # An error comes again, and is reported, where the file is examined.
        for job in filter(renderer.chart, merged):
            pool.submit(renderer.problems, job)
        for job in filter(renderer.chart, base):
            pool.submit(renderer.rendering, job)
        for path in paths:
            with suppress(Exception), budget.at(path):
                reviewer.secrets_of(path)
        for tree in (merge.base_tree, merge.merged_tree):
            _parse(budget, tree.jobs.values())
        teams = set(_limited_teams(merge, merged))
        others = [job for job in merge.merged_tree.jobs.values() if job.team in teams]
        queued = totals.examples(counted(merged, merge))
        for job in [*totals.examples(others), *(queued if len(queued) <= MOST_KINDS else [])]:
            if not renderer.knows(job):
                pool.submit(renderer.rendering, job)
        return list(pool.map(partial(_one_examined, reviewer, budget), paths))


def _parse(budget: Budget, jobs: Iterable[CommittedJobFile], most: float = math.inf) -> None:
    """Parse job files, so that an error names its file, and limit their values, which take memory.

    Raises:
        ReviewError: the job files have too many values together.

    """
    values = 0
    for job in jobs:
        with budget.at(job.path):
            document = job.document
        values += len(document.positions) if document else 0
        if values > most:
            limit = f"at most {most:,}"
            raise ReviewError(
                refusal(job.path, "more values in all changed job files", limit, "Split the pull request.")
            )


def _placed(merge: Merge, totals: Totals, runs: list[RunReview]) -> list[Finding]:
    """Set the places of runs in their queues; return a finding if Helm or the review itself fails at it."""
    try:
        set_places(merge, totals, runs)
    except (ReviewError, helm.HelmError) as error:
        return [Finding(Level.UNKNOWN, f"{RUN.folder}/", parsed(str(error)))]
    return []


def _one_examined(reviewer: RunReviewer, budget: Budget, path: str) -> RunReview:
    """Return the review of a file; it cannot be judged if Helm or the review itself fails at it."""
    try:
        with budget.at(path):
            return reviewer.examine(path)
    except (ReviewError, helm.HelmError) as error:
        message = parsed(str(error).removeprefix(f"{path}: "))
        run = RunReview(path, Action.UNREADABLE, findings=[Finding(Level.UNKNOWN, path, message)])
        with suppress(Exception):
            run.secrets = reviewer.secrets_of(path)
        return run


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tfd-review-") as name:
        yield Path(name)


def _judged(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings about several runs. If Helm or the review itself fails, they cannot be judged."""
    try:
        yield from findings
    except (ReviewError, helm.HelmError) as error:
        yield Finding(Level.UNKNOWN, f"{RUN.folder}/", parsed(str(error)))


def _defaults(rules: Rules) -> Iterator[Finding]:
    """Yield a warning if the base branch has no policy file."""
    if rules is DEFAULT:
        message = sentence(
            f"Missing on the base branch. This review uses the default rules: {', '.join(DEFAULT.by_name)}. "
            "Add the file to set your own rules."
        )
        yield Finding(Level.WARNING, FILE, message)


def _together(merge: Merge, totals: Totals, runs: list[RunReview], others: list[str]) -> Iterator[Finding]:
    """Yield the violations that depend on all changes together."""
    deployed = [run for run in runs if run.action is not Action.CHECKED]
    for team in _limited_teams(merge, [run.merged for run in deployed if run.merged]):
        merged, base = (  # The merged files first: the changed ones are rendered already.
            totals.of(job for job in tree.jobs.values() if job.team == team)
            for tree in (merge.merged_tree, merge.base_tree)
        )
        yield from merge.policy.of_team(team, base, merged)
    starting = sum(run.action in STARTING for run in runs)
    yield from merge.policy.of_change(starting, bool(deployed), others)


def _limited_teams(merge: Merge, changed: Iterable[CommittedJobFile]) -> list[str]:
    """Return the teams of changed job files, if a rule limits the sum over all runs of a team."""
    rules = merge.policy.rules
    return sorted({job.team for job in changed} - rules.not_deployed) if rules.limit_teams else []


def _too_many(paths: list[str]) -> Iterator[Finding]:
    if len(paths) > MOST_CHANGED:
        message = sentence(
            f"got {len(paths):,} changed job files; expected at most {MOST_CHANGED} in one pull request. "
            "Split the pull request."
        )
        yield Finding(Level.REFUSED, f"{RUN.folder}/", message)


def _invalid_policy(repository: Repository, merged: str) -> Iterator[Finding]:
    """Yield a finding if the merge deletes the policy file or makes it invalid."""
    try:
        if load_rules(repository, merged) is None:
            raise RulesError(MISSING)
    except RulesError as error:
        yield Finding(Level.REFUSED, FILE, parsed(error.message), error.line, error.column)


def _without_set(runs: list[RunReview], queues: TeamQueues) -> Iterator[Finding]:
    """Yield a warning for each new file that Argo CD does not read, because it has other teams only."""
    for run in runs:
        if run.merged and run.action in STARTING | ADDING and queues.teams and run.merged.team not in queues.teams:
            message = sentence(
                f"Team {{}} is not one of teams in {TEAMS}, so Argo CD does not read the file. "
                "Add the team there first, or move the file.",
                run.merged.team,
            )
            yield Finding(Level.WARNING, run.path, message)


def _renamed(runs: list[RunReview], history: History) -> Iterator[Finding]:
    """Yield a warning for each renamed run, because Argo CD treats it as a deleted and a new run."""
    for deleted in (run.base for run in runs if run.action is Action.DELETED and run.base):
        for run in runs:
            if (
                run.base is None
                and run.merged
                and run.merged.kind is RUN
                and run.merged_rendering
                and deleted in history.same_identity(run.merged)
            ):
                message = sentence(
                    "Looks like a new name for {}. Argo CD ends {} and starts {} at step 0 in another run directory. "
                    "To start from the newest checkpoint, set {}.",
                    deleted.path, deleted.name, run.name, f"warmStartFrom: {deleted.run}",
                )  # fmt: skip
                yield Finding(Level.WARNING, run.path, message)


def _blocked(merged: Emulation, changed: set[str]) -> Iterator[Finding]:
    """Yield the files that block a team and that the pull request does not change."""
    for each in merged.blocked:
        if each.path not in changed:
            message = sentence(
                f"Blocks team {{}}: {each.why.rstrip('.')}. Argo CD starts, changes and ends no {each.kind.noun} of "
                "the team until the file is fixed.",
                each.team,
            )
            yield Finding(Level.WARNING, each.path, message)
