"""The keys of a job file that differ, their classes, and what Kubernetes allows to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfd.jobfile import schema
from tfd.jobfile.helm_yaml import Key

UNSET = "(unset)"
FINAL = frozenset(["identity", "immutable"])

_POLICIES = {
    "identity": "needs a new run; the run record and `spec.template` of a Job are immutable",
    "immutable": "needs a new run; `spec.template` and `spec.podFailurePolicy` of a Job are immutable",
    "metadata": "in place; labels and annotations of objects, never of a pod",
}
_MUTABLE_POLICIES = {
    "state": "in place; `spec.suspend` of a Job may change; an archived run has no Job",
    "deadline": "in place; `spec.activeDeadlineSeconds` of a Job may change",
    "retries": "in place; `spec.backoffLimit` of a Job may change",
    "network": "in place; `egress` of a NetworkPolicy may change",
    "metrics": "in place; `ingress` of a NetworkPolicy and a PodMonitor may change",
    "tensorboard": "in place; TensorBoard is a Deployment, and its pod is replaced",
}


@dataclass(frozen=True)
class KeyChange:
    """A key with two effective values: on the base, or in the nearest run, and after the merge."""

    key: Key
    kind: str
    """Its x-class."""
    base: Any
    merged: Any

    @property
    def policy(self) -> str:
        """What Kubernetes allows for the key."""
        if self.kind == "mutable":
            return _MUTABLE_POLICIES.get(str(self.key[0]), "in place")  # the chart may be newer than tfd
        return _POLICIES[self.kind]


def effective(values: dict[str, Any], chart: Path) -> dict[Key, Any]:
    """Return every leaf of a job file with the defaults of the chart; lists are leaves."""
    return dict(leaves(schema.merged(schema.defaults(chart), values)))


def changed_keys(base: dict[str, Any], merged: dict[str, Any], base_chart: Path, merged_chart: Path) -> list[KeyChange]:
    """Return the keys whose effective value differs between two job files, sorted by name."""
    base_keys, merged_keys = effective(base, base_chart), effective(merged, merged_chart)
    return [
        KeyChange(
            key,
            _class_of(key, merged_chart),
            base_keys.get(key, UNSET),
            merged_keys.get(key, UNSET),
        )
        for key in sorted(base_keys.keys() | merged_keys.keys(), key=str)
        # 1 and true are equal in Python, so the values are compared as text.
        if repr(base_keys.get(key, UNSET)) != repr(merged_keys.get(key, UNSET))
    ]


def _class_of(key: Key, chart: Path) -> str:
    """Return the class of a key; what no chart of this tfd has is as strict as the identity."""
    found = schema.class_of(key, chart)
    return found if found == "mutable" or found in _POLICIES else "identity"


def leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:  # noqa: ANN401 - any value of a job file
    """Yield each leaf below a key with its key; lists are leaves."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from leaves(child, (*key, name))
    else:
        yield key, value
