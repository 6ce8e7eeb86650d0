"""Reviews a pull request: both trees, every changed job file, and their effect together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tfd.jobfile import helm
from tfd.review.analysis.actions import STARTING, Action
from tfd.review.analysis.argocd import Emulation, emulate
from tfd.review.analysis.checkouts import checkout_findings
from tfd.review.analysis.findings import Finding, Level, parsed, sentence
from tfd.review.analysis.fleet import Totals
from tfd.review.analysis.history import Deleted, History
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.policy import Policy
from tfd.review.analysis.policy_file import DEFAULT, FILE, Rules, RulesError, has_rules, load_rules
from tfd.review.analysis.reviewer import RunReviewer
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.budget import Budget, ReviewError
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import Repository
from tfd.review.sources.job_files import FOLDER, Tree, is_job_path, read_tree
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
        GitError, RulesError, HelmError, ReviewError: the merge cannot be judged; the message is the reason.

    """
    budget = Budget()
    base, head = repository.commit(base_ref), repository.commit(head_ref)
    repository.irregular(head)  # a tree that is too large to list is too large to merge
    merged = repository.merge(base, head)
    helm.find_helm()
    # Only the base decides. A pull request that deletes the policy file is judged by the deleted one.
    rules = load_rules(repository, base) if has_rules(repository, base) else DEFAULT
    with _temporary_folder() as folder:
        renderer = Renderer(Charts(repository, base, folder / "charts"), folder / "jobs", budget)
        base_tree = read_tree(repository, base)
        merged_tree = read_tree(repository, merged, base_tree.jobs.values())
        _parse(budget, base_tree, merged_tree)
        added = [job for path, job in merged_tree.jobs.items() if path not in base_tree.jobs]
        history = History(renderer, list(base_tree.jobs.values()), Deleted(repository, base), added)
        merge = Merge(base, base_tree, merged_tree, renderer, Policy(rules, tuple(approvals)), history)
        reviewer = RunReviewer(merge)
        changed = repository.changed(base, merged)
        free = tuple(f"{FOLDER}/{team}/" for team in rules.not_deployed)
        paths = [
            path for path in changed if is_job_path(path) or (path in merged_tree.refused and not path.startswith(free))
        ]
        changed_jobs = [tree.jobs.get(path) for path in paths[:MOST_CHANGED] for tree in (base_tree, merged_tree)]
        renderer.prepare(filter(None, changed_jobs))
        runs = [_examined(reviewer, budget, path) for path in paths[:MOST_CHANGED]]
        others = sorted(set(changed) - set(paths))
        findings = [
            *_defaults(rules),
            *checkout_findings(repository, base, merged, set(changed), set(paths) & merged_tree.refused.keys()),
            *_too_many(paths),
            *_renamed(runs, history),
            *_together(merge, runs, others),
        ]
        findings += _invalid_policy(repository, merged) if FILE in changed else []
        base_emulation = emulate(base_tree, rules.not_deployed, {})
        merged_emulation = emulate(merged_tree, rules.not_deployed, base_emulation.generated)
        findings += _blocked(merged_emulation, set(changed))
    policy_paths = [path for path in others if merge.policy.changes_policy(path)]
    other_paths = [path for path in others if path not in policy_paths]
    return PullRequestReview(base, head, runs, findings, base_emulation, merged_emulation, policy_paths, other_paths)


def _parse(budget: Budget, base: Tree, merged: Tree) -> None:
    """Parse each job file once, so that an error names its file, and limit the memory for the changed ones.

    Raises:
        ReviewError: the changed job files have too many values together.

    """
    values = 0
    for job in (*base.jobs.values(), *merged.jobs.values()):
        with budget.at(job.path):
            document = job.document
        values += len(document.positions) if document and base.jobs.get(job.path) is not job else 0
        if values > MOST_VALUES:
            most = f"at most {MOST_VALUES:,}"
            raise ReviewError(
                refusal(job.path, "more values in all changed job files", most, "Split the pull request.")
            )


def _examined(reviewer: RunReviewer, budget: Budget, path: str) -> RunReview:
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


def _defaults(rules: Rules) -> Iterator[Finding]:
    """Yield a warning if the base branch has no policy file."""
    if rules is DEFAULT:
        message = sentence(
            f"Missing on the base branch. This review uses the default rules: {', '.join(DEFAULT.by_name)}. "
            "Add the file to set your own rules."
        )
        yield Finding(Level.WARNING, FILE, message)


def _together(merge: Merge, runs: list[RunReview], others: list[str]) -> Iterator[Finding]:
    """Yield the violations that depend on all changes together."""
    rules = merge.policy.rules
    deployed = [run for run in runs if run.action is not Action.CHECKED]
    totals = Totals(merge.renderer)
    teams = {job.team for run in deployed if (job := run.merged)} if rules.limit_teams else set()
    for team in sorted(teams - rules.not_deployed):
        base, merged = (totals.of_team(team, tree.jobs.values()) for tree in (merge.base_tree, merge.merged_tree))
        yield from merge.policy.of_team(team, base, merged)
    starting = sum(run.action in STARTING for run in runs)
    yield from merge.policy.of_change(starting, bool(deployed), others)


def _too_many(paths: list[str]) -> Iterator[Finding]:
    if len(paths) > MOST_CHANGED:
        message = sentence(
            f"got {len(paths):,} changed job files; expected at most {MOST_CHANGED} in one pull request. "
            "Split the pull request."
        )
        yield Finding(Level.REFUSED, f"{FOLDER}/", message)


def _invalid_policy(repository: Repository, merged: str) -> Iterator[Finding]:
    """Yield a finding if the merge deletes the policy file or makes it invalid."""
    try:
        load_rules(repository, merged)
    except RulesError as error:
        yield Finding(Level.REFUSED, FILE, parsed(error.message), error.line, error.column)


def _renamed(runs: list[RunReview], history: History) -> Iterator[Finding]:
    """Yield a warning for each renamed run, because Argo CD treats it as a deleted and a new run."""
    for deleted in (run.base for run in runs if run.action is Action.DELETED and run.base):
        for run in runs:
            if (
                run.base is None
                and run.merged
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
                f"Blocks team {{}}: {each.why.rstrip('.')}. Argo CD starts, changes and ends no run of the team until "
                "the file is fixed.",
                each.team,
            )
            yield Finding(Level.WARNING, each.path, message)
