"""The queues of Kueue that argocd/values.yaml gives to teams: their quotas, cohort and priorities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.kinds import KINDS
from tfd.quantities import quantity
from tfd.review.analysis.findings import Finding, Level, parsed
from tfd.review.analysis.policy_file import Rules
from tfd.review.sources.git import Repository
from tfd.text import refusal, shown

FILE = "argocd/values.yaml"

Amounts = dict[str, float]
"""A number for each resource, such as `cpu` or `nvidia.com/gpu`."""


class QueuesError(Exception):
    """The queues of a commit cannot be read; the message is a refusal in the grammar of the project."""


class FolderError(QueuesError):
    """Argo CD reads other folders than the review, so the review shows none of the runs there."""


@dataclass(frozen=True)
class TeamQueues:
    """What `argocd/` renders for Kueue. The queue of a team has the name of the team."""

    quotas: dict[str, dict[str, Amounts]] = field(default_factory=dict)
    """Nominal quota of each team with a queue, by flavor. All flavors cover the same resources."""
    node_labels: dict[str, dict[str, str]] = field(default_factory=dict)
    """The labels of the nodes of each flavor."""
    cohort: str = ""
    """The cohort of all teams with a queue; empty if no team lends."""
    priorities: dict[str, int] = field(default_factory=dict)
    teams: frozenset[str] = frozenset()
    """All teams, with a queue or without."""

    def quota(self, team: str) -> Amounts:
        """Return the nominal quota of a team over all flavors."""
        return total(self.quotas.get(team, {}).values())

    def most(self, team: str) -> dict[str, Amounts]:
        """Return what a run of a team could get of each flavor of the team if nothing else ran."""
        lenders = self.quotas.values() if self.cohort else [self.quotas[team]]
        return {
            flavor: total(quota[flavor] for quota in lenders if flavor in quota) for flavor in self.quotas[team]
        }  # fmt: skip


def total(amounts: Iterable[Amounts]) -> Amounts:
    """Return the sum over amounts, with thousandths as the smallest unit, because CPUs have no smaller one."""
    found: Amounts = {}
    for each in amounts:
        for name, amount in each.items():
            found[name] = round(found.get(name, 0) + amount, 3)
    return found


def queues_of_base(repository: Repository, base: str, rules: Rules) -> tuple[TeamQueues, list[Finding]]:
    """Return the queues of the base branch; if they cannot be read, none and a finding."""
    try:
        return load_queues(repository, base), []
    except QueuesError as error:
        matters = isinstance(error, FolderError) or "teamQueue" in rules.by_name
        level = Level.UNKNOWN if matters else Level.WARNING
        return TeamQueues(), [Finding(level, FILE, parsed(str(error)))]


def invalid_queues(repository: Repository, merged: str) -> Iterator[Finding]:
    """Yield a finding if the merge makes the queues unreadable for later reviews."""
    try:
        load_queues(repository, merged)
    except QueuesError as error:
        yield Finding(Level.REFUSED, FILE, parsed(str(error)))


def load_queues(repository: Repository, commit: str) -> TeamQueues:
    """Return the queues in a commit or tree; none if it has no argocd/values.yaml.

    Raises:
        QueuesError: the file cannot be read, or names other folders than the review reads.

    """
    entry = repository.entries(commit, FILE).get(FILE)
    if entry is None:
        return TeamQueues()
    try:
        helm_yaml.refuse_size(entry.size)
        return _queues(helm_yaml.load(repository.read([entry.blob])[entry.blob].decode()).value)
    except helm_yaml.YamlError as error:
        raise QueuesError(str(error)) from None
    except UnicodeDecodeError:
        raise QueuesError(refusal("file", "invalid UTF-8", "UTF-8", "Convert the file.")) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        rule = "the form that argocd/values.schema.json describes"
        raise QueuesError(refusal("queues", "other values", rule, "Render argocd/ with Helm to find them.")) from None


def _queues(values: dict[str, Any]) -> TeamQueues:
    for kind in KINDS:
        folder = values.get(kind.folder, kind.folder)
        if str(folder).rstrip("/") != kind.folder:
            rule = f"{kind.folder}, the only folder of {kind.noun} files that the review reads"
            fix = f"Set {kind.folder}: {kind.folder}, and move the files there."
            raise FolderError(refusal(kind.folder, shown(folder), rule, fix))
    queues = values.get("queues") or {}
    return TeamQueues(
        quotas={
            team: {
                flavor: {name: quantity(amount) for name, amount in quota.items()}
                for flavor, quota in options["queue"].items()
            }
            for team, options in (values.get("teams") or {}).items()
            if options and options.get("queue")
        },
        node_labels={each["name"]: dict(each.get("nodeLabels") or {}) for each in queues.get("flavors") or []},
        cohort=str(queues.get("cohort") or ""),
        # Helm removes a key whose value is null.
        priorities={
            name: int(value) for name, value in (queues.get("priorities") or {}).items() if value is not None
        },
        teams=frozenset(values.get("teams") or {}),
    )  # fmt: skip
