"""The policy file review.yaml: the rules for pull requests, and who may waive them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tfd.assets import REVIEW_SCHEMA
from tfd.jobfile import helm_yaml
from tfd.jobfile.schema import refusals
from tfd.quantities import quantity
from tfd.review.analysis.findings import Finding, Level
from tfd.review.sources.git import Repository

FILE = "review.yaml"
MISSING = "got nothing; expected a policy file. Add review.yaml with at least a key named rules."


class RulesError(Exception):
    """The policy file is missing or invalid, so the review cannot judge the pull request."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{FILE}:{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Rules:
    """The rules of a repository."""

    not_deployed: frozenset[str]
    by_name: dict[str, dict[str, Any]]

    @property
    def limit_teams(self) -> bool:
        """Whether a rule limits the sum over all runs of a team."""
        return any(name.endswith("PerTeam") for name in self.by_name)

    def allowed(self, rule: str, team: str) -> list[str]:
        """Return the patterns of a rule with a list: those of all teams, and those of `team`."""
        settings = self.by_name[rule]
        return [*settings["allowed"], *settings.get("teams", {}).get(team, [])]

    def most(self, rule: str, team: str = "") -> float:
        """Return the maximum of a rule for a team; infinity without the rule."""
        settings = self.by_name.get(rule)
        return quantity(settings.get("teams", {}).get(team, settings["most"])) if settings else math.inf

    def finding(self, rule: str, approvals: Iterable[str], found: Finding) -> Finding:
        """Return `found` as a violation of `rule`: waived if somebody who may waive it has approved, else refused."""
        may = tuple(self.by_name[rule]["waiver"])
        approved = {name.lower() for name in approvals}
        did = tuple(name for name in may if name.lower() in approved)
        return replace(found, level=Level.WAIVED if did else Level.REFUSED, rule=rule, waiver=did or may)


# The rules that need no setting of the repository. Nobody can waive them.
DEFAULT = Rules(
    frozenset(["examples"]),
    {name: {"waiver": []} for name in ("literalSecrets", "uniqueNames", "sharedOutput")}
    | {
        name: {"allowed": [], "waiver": []}
        for name in (
            "priorityClasses",
            "queues",
            "queuePriorities",
            "serviceAccounts",
            "taints",
            "labels",
            "otherTeams",
        )
    },
)


def load_rules(repository: Repository, commit: str) -> Rules | None:
    """Return the rules of a commit or tree; None if it has no policy file.

    Raises:
        RulesError: schema/review.schema.json refuses the file.

    """
    entry = repository.entries(commit, FILE).get(FILE)
    if entry is None:
        return None
    try:
        document = helm_yaml.load(repository.read([entry.blob])[entry.blob].decode())
    except helm_yaml.YamlError as error:
        raise RulesError(str(error), error.line, error.column) from None
    except UnicodeDecodeError as error:
        raise RulesError(f"got invalid UTF-8 at byte {error.start}; expected UTF-8. Convert the file.") from None
    schema = json.loads(REVIEW_SCHEMA.read_text(encoding="utf-8"))
    for found in refusals(document.value, schema):
        raise RulesError(found.message, *document.position(found.key))
    return Rules(frozenset(document.value.get("notDeployed", [])), document.value["rules"])
