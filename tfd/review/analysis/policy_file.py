"""review.yaml: what a pull request must keep to, and who may waive it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.jobfile.schema import refusals
from tfd.review.analysis.findings import Finding, Level
from tfd.review.sources.git import Repository

FILE = "review.yaml"
SCHEMA = Path(__file__).resolve().parents[3] / "schema" / "review.schema.json"


class RulesError(Exception):
    """The rules can't be used, so nothing can be said about the pull request."""


@dataclass(frozen=True)
class Rules:
    """The rules of a repository."""

    not_deployed: frozenset[str]
    by_name: dict[str, dict[str, Any]]

    def finding(self, rule: str, approvals: Iterable[str], found: Finding) -> Finding:
        """Return `found` as a breach of `rule`: refused, or waived if one who may do that has approved."""
        may = tuple(self.by_name[rule]["waiver"])
        approved = {name.lower() for name in approvals}
        did = tuple(name for name in may if name.lower() in approved)
        level = Level.WAIVED if did else Level.REFUSED
        return Finding(
            level, found.path, found.message, found.line, found.column, rule, found.mend, found.suggestion, did or may
        )


def load_rules(repository: Repository, commit: str) -> Rules:
    """Return the rules of a commit or tree.

    Raises:
        RulesError: there is no review.yaml, or it is not as schema/review.schema.json says.

    """
    entry = repository.entries(commit, FILE).get(FILE)
    if entry is None:
        raise RulesError(f"{FILE}: missing: a repository of job files needs one, with at least `rules: {{}}`")
    try:
        document = helm_yaml.load(repository.read([entry.blob])[entry.blob].decode())
    except (helm_yaml.YamlError, UnicodeDecodeError) as error:
        raise RulesError(f"{FILE}: {error}") from None
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for key, message in refusals(document.value, schema):
        line, column = document.position(key)
        raise RulesError(f"{FILE}:{line}:{column}: {message}")
    return Rules(frozenset(document.value.get("notDeployed", [])), document.value["rules"])
