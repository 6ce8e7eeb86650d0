"""Which keys of a job file differ, what class each has, and what Kubernetes says about changing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.schema import class_of, defaults, merged

UNSET = "(unset)"
FINAL = frozenset(["identity", "immutable"])

_RULES = {
    "identity": "needs a new run: the run record is immutable, and so is a Job's `spec.template`",
    "immutable": "needs a new run: a Job's `spec.template`, `podFailurePolicy` and `backoffLimitPerIndex` never change",
    "metadata": "in place: labels and annotations of objects, never of a pod",
}
_MUTABLE_RULES = {
    "state": "in place: `spec.suspend` of a Job may change; an archived run has no Job",
    "deadline": "in place: `spec.activeDeadlineSeconds` of a Job may change",
    "retries": "in place: `spec.backoffLimit` of a Job may change",
    "tensorboard": "in place: TensorBoard is a Deployment and rolls",
}


@dataclass(frozen=True)
class KeyChange:
    """One key whose effective value is another than before."""

    key: Key
    kind: str
    """Its x-class."""
    before: Any
    after: Any

    @property
    def rule(self) -> str:
        """What Kubernetes says about it."""
        return _MUTABLE_RULES[str(self.key[0])] if self.kind == "mutable" else _RULES[self.kind]


def effective(values: dict[str, Any], chart: Path) -> dict[Key, Any]:
    """Return every leaf of a job file with the chart's defaults; lists are leaves."""
    return dict(_leaves(merged(defaults(chart), values), ()))


def changed_keys(
    before: dict[str, Any], after: dict[str, Any], chart_before: Path, chart_after: Path
) -> list[KeyChange]:
    """Return the keys whose effective value differs between two job files, in the order of their names."""
    old, new = effective(before, chart_before), effective(after, chart_after)
    return [
        KeyChange(key, class_of(key, chart_after) or "identity", old.get(key, UNSET), new.get(key, UNSET))
        for key in sorted(old.keys() | new.keys(), key=str)
        # 1 and true are equal in Python.
        if repr(old.get(key, UNSET)) != repr(new.get(key, UNSET))
    ]


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:  # noqa: ANN401 - any value of a job file
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _leaves(child, (*key, name))
    else:
        yield key, value
