"""Refuses what makes Argo CD read another file than the review. No rule of review.yaml and no approval changes that."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tfd.review.analysis.findings import Finding, Level, Message, sentence
from tfd.review.sources.checkout import Obstacle, obstacles
from tfd.review.sources.git import Repository

# One cause, such as a pattern of .gitattributes, may concern each file.
_MOST = 100


def checkout_findings(
    repository: Repository, base: str, merged: str, changed: Collection[str], reported: Collection[str]
) -> Iterator[Finding]:
    """Yield a finding for each obstacle of the merged tree.

    Args:
        repository: the repository.
        base: the commit of the base branch.
        merged: the tree of the merge.
        changed: the paths in which the two differ.
        reported: the paths that are refused for another reason.

    """
    found = {each for each in obstacles(repository, merged) if each.path not in reported}
    known = {each for each in obstacles(repository, base) if each.path not in changed} & found if found else set()
    for each in sorted(found - known)[:_MOST]:
        yield Finding(Level.REFUSED, each.path, _message(each))
    for each in sorted(known)[:_MOST]:
        # Every later pull request has it, too, so it stops the merge only where a job file may be another one.
        level = Level.UNKNOWN if each.in_jobs else Level.WARNING
        yield Finding(level, each.path, _message(each, "On the base branch: "))


def _message(obstacle: Obstacle, before: str = "") -> Message:
    values = [obstacle.value] if obstacle.value else []
    return sentence(f"{before}{obstacle.why}", *values)
