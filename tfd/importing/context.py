"""What all parts of an import share: the manifest, the job file in progress, and what the user has answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tfd.importing.draft import Draft
from tfd.importing.ledger import Field, Ledger
from tfd.importing.manifest import Manifest, Replicas
from tfd.jobfile.helm_yaml import Key

Script = Literal["coordinator", "every-task", ""]


@dataclass(frozen=True)
class Answers:
    """What the manifest does not contain, as options of the command; empty where the user gave none."""

    team: str = ""
    run: str = ""
    script: Script = ""
    storage: str = ""
    """The claim that the run writes to, where the manifest has several."""
    memory: str = ""
    """Memory of each task that names none."""


class Move(NamedTuple):
    """A path of the manifest that has another place in the run, and the key with its mount point."""

    old: str
    new: str
    key: Key


@dataclass
class Context:
    """One import in progress."""

    manifest: Manifest
    answers: Answers
    run: str
    team: str
    draft: Draft = field(default_factory=Draft)
    roles: dict[str, str] = field(default_factory=dict)
    """Role in the manifest -> role in the job file."""
    gpu_names: set[str] = field(default_factory=set)
    """Resource names of the GPUs that roles request."""
    keeps_paths: bool = False
    """Whether the storage is a volume of the manifest, at its own place."""
    places: list[str] = field(default_factory=list)
    """Mount points that are in use."""
    moved: list[Move] = field(default_factory=list)
    """Paths that have moved."""
    followed: set[str] = field(default_factory=set)
    """The old paths that words of the program name."""
    removed: list[str] = field(default_factory=list)
    """Mount points of the manifest whose files the run does not have."""
    secrets: list[str] = field(default_factory=list)
    """What looks like a secret, which no output repeats."""
    programs: list[str] = field(default_factory=list)
    """The program of each role, where they are too different to be one."""

    @property
    def ledger(self) -> Ledger:
        """The lines about the fields of the manifest."""
        return self.manifest.root.ledger

    @property
    def replicas(self) -> list[Replicas]:
        """The roles of the manifest, the leader first."""
        order = ["chief", "worker", "ps", "evaluator"]
        return sorted(self.manifest.replicas, key=lambda each: order.index(each.role))

    def target(self, replicas: Replicas) -> str:
        """Return the role of the job file whose tasks these become."""
        return self.roles[replicas.role]

    def one_value(self, key: str, fields: list[Field], read: Callable[[Field], Any]) -> Any:  # noqa: ANN401 - JSON
        """Return the value that most roles have for a key of the whole run; None if no role has one.

        A role with another value gets a line of its own. A role without a value gets the one of the others.
        """
        found = [(each, read(each)) for each in fields if each.value is not None]
        if not found:
            return None
        counts = Counter(str(value) for _, value in found)
        most = max(counts.values())
        chosen = next(value for _, value in found if counts[str(value)] == most)
        for each, value in found:
            if value == chosen and len(found) < len(self.replicas):
                each.changed(key, "every task gets it")
            elif value == chosen:
                each.same(key)
            else:
                each.changed(key, "one value for all roles; most of them have another one")
        return chosen
