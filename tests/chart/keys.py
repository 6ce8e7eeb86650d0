"""Every key of a job file, and for each two values whose renderings must differ.

`python -m tests.chart.keys` prints all keys and their classes: tests/golden/keys.txt, so that a review sees a new one.
"""

import copy
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

from tests.chart.rendering import ROOT, Values
from tfd.jobfile.schema import defaults

SCHEMA: dict[str, Any] = json.loads((ROOT / "schema" / "job.schema.json").read_text())
ROLES = ("chief", "ps", "worker", "evaluator")
UNSET = object()
"""In a change: the key is left out."""

MEMORY: Values = {"resources": {"limits": {"memory": "3Gi"}}}
# ParameterServer has all roles; with GPUs the resource that counts them shows.
BASE: Values = {
    "strategy": "ParameterServer",
    "storage": {"claim": "runs"},
    "chief": {"gpus": 1, **MEMORY},
    "evaluator": {"replicas": 1},
}


def resolve(node: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> dict[str, Any]:
    """Return a node of the schema laid over the definition that it refers to."""
    if "$ref" not in node:
        return node
    definition: dict[str, Any] = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return definition | node


def leaves(
    schema: dict[str, Any] = SCHEMA, node: dict[str, Any] | None = None, key: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each key without keys below it, like `env[].name`, and its node; maps of free names are leaves."""
    node = schema if node is None else node
    items = resolve(node.get("items", {}), schema)
    if "properties" in node:
        for name, child in node["properties"].items():
            yield from leaves(schema, resolve(child, schema), f"{key}.{name}".lstrip("."))
    elif "properties" in items:
        yield from leaves(schema, items, f"{key}[]")
    else:
        yield key, node


LEAVES: dict[str, dict[str, Any]] = dict(leaves())


@dataclass(frozen=True)
class Change:
    """One key, twice: `before` and `after`. `beside` are other keys of its block, `base` other keys of the file."""

    before: Any
    after: Any
    beside: Values = field(default_factory=dict)
    base: Values = field(default_factory=dict)

    def jobs(self, key: str) -> tuple[Values, Values]:
        """Return two job files that differ in `key` alone."""
        return self._job(key, self.before), self._job(key, self.after)

    def _job(self, key: str, value: Any) -> Values:
        job = copy.deepcopy(BASE | self.base)
        if key.startswith("storage."):
            job["storage"] = {} if value is not UNSET else job["storage"]
        block, name = place(job, key)
        block.update(copy.deepcopy(self.beside))
        if value is not UNSET:
            block[name] = value
        return job


def place(job: Values, key: str) -> tuple[Values, str]:
    """Return the block that `key` stands in, made when it is not there, and its name in it; `[]` is the first item."""
    *parents, name = key.split(".")
    block = job
    for parent in parents:
        if parent.endswith("[]"):
            [block] = block.setdefault(parent.removesuffix("[]"), [{}])
        else:
            block = block.setdefault(parent, {})
    return block, name


_ELASTIC_GROUP: Values = {"strategy": "MultiWorkerMirrored", "chief": {}, "worker": {"minReplicas": 1}}
_VARIABLE: Values = {"env": [{"name": "TOKEN"}]}
_TOLERATION: Values = {"key": "gpu", "operator": "Exists"}


def _role_changes(role: str) -> dict[str, Change]:
    prefix = f"{role}.tolerations[]"
    return {
        f"{role}.resources.requests": Change({"cpu": 1}, {"cpu": 2}),
        f"{role}.resources.limits": Change({"memory": "3Gi"}, {"memory": "4Gi"}),
        # 0 is all that parameter servers may have.
        f"{role}.gpus": Change(0, 1 if role == "ps" else 2, beside=MEMORY),
        f"{role}.image": Change(UNSET, "trainer:2"),
        f"{role}.shm": Change(UNSET, "1Gi"),
        f"{role}.nodeSelector": Change({"pool": "a"}, {"pool": "b"}),
        f"{prefix}.key": Change("gpu", "spot", beside={"operator": "Exists"}),
        f"{prefix}.operator": Change("Exists", "Equal", beside={"key": "gpu"}),
        f"{prefix}.value": Change("a", "b", beside={"key": "gpu", "operator": "Equal"}),
        f"{prefix}.effect": Change("NoSchedule", "NoExecute", beside=_TOLERATION),
        f"{prefix}.tolerationSeconds": Change(1, 2, beside=_TOLERATION | {"effect": "NoExecute"}),
    }


_STOP: Values = {"metric": "accuracy", "patience": 5}
_EARLY_STOPPING = {
    "metric": Change("accuracy", "auc", beside={"patience": 5}),
    "mode": Change("max", "min", beside=_STOP),
    "patience": Change(5, 6, beside={"metric": "accuracy"}),
    "minDelta": Change(UNSET, 0.1, beside=_STOP),
}
_MOUNTS = {
    "at": Change("/a", "/b", beside={"claim": "models"}),
    "claim": Change("models", "others", beside={"at": "/a"}),
    "folder": Change(UNSET, "bert/base", beside={"at": "/a", "claim": "models"}),
    "secret": Change("keys", "others", beside={"at": "/a"}),
    "configMap": Change("settings", "others", beside={"at": "/a"}),
    "scratch": Change("1Gi", "2Gi", beside={"at": "/a"}),
}
_GIT: Values = {"repository": "https://git.example.com/team/models.git", "commit": 40 * "a"}
_CODE = {
    "image": Change("git:1", "git:2", beside={"git": _GIT}),
    "git.repository": Change("https://git.example.com/a", "https://git.example.com/b", beside={"commit": 40 * "a"}),
    "git.commit": Change(40 * "a", 40 * "b", beside={"repository": _GIT["repository"]}),
    "git.folder": Change(UNSET, "src", beside=_GIT),
    "git.tokenSecret.name": Change("a", "b", beside={"key": "k"}, base={"code": {"git": _GIT}}),
    "git.tokenSecret.key": Change("a", "b", beside={"name": "n"}, base={"code": {"git": _GIT}}),
    "files": Change(UNSET, {"train.py": "print(1)"}),
}


def default_of(key: str) -> Any:
    """Return the default of a key, or UNSET."""
    value: Any = defaults()
    for name in key.split("."):
        value = value.get(name, UNSET) if isinstance(value, dict) else UNSET
    return value


def derived(key: str, node: dict[str, Any]) -> Change | None:
    """Return a change from the default of a key to another value, or None for a key without a simple rule."""
    default, others = default_of(key), list[Any]()
    if default is UNSET:
        return None
    if isinstance(default, bool):
        others = [not default]
    elif "enum" in node:
        others = [value for value in node["enum"] if value != default]
    elif node.get("type") in ("integer", "number"):
        others = [default + 1, default - 1]
    elif isinstance(default, str):
        others = [re.sub(r"^[0-9]+", lambda number: str(int(number[0]) + 1), default), f"{default}2", "a"]
    validator = Draft202012Validator(node | {"$defs": SCHEMA["$defs"]})
    valid = (value for value in others if value != default and validator.is_valid(value))
    return next((Change(default, value) for value in valid), None)


DERIVED = {key: change for key, node in LEAVES.items() if (change := derived(key, node))}


# Other keys need a value or keys around them that the schema does not contain.
CHANGES: dict[str, Change] = DERIVED | {
    "storage.claim": Change("runs", "others"),
    "storage.create.size": Change("1Gi", "2Gi"),
    "storage.create.storageClassName": Change("fast", "slow", beside={"size": "1Gi"}),
    "storage.create.accessMode": Change("ReadWriteMany", "ReadWriteOnce", beside={"size": "1Gi"}),
    "storage.uri": Change("gs://bucket/a", "gs://bucket/b"),
    "storage.ephemeral": Change(UNSET, True, base={"evaluator": {"replicas": 0}}),
    "storage.at": Change("/train", "/work/train", beside={"claim": "runs"}),
    "strategy": Change("Mirrored", "OneDevice"),
    "chartVersion": Change(UNSET, "0.1.0"),
    "image": Change("trainer:1", "trainer:2"),
    "command": Change(UNSET, ["python", "train.py"]),
    "workingDir": Change(UNSET, "/opt/train"),
    "args": Change(UNSET, ["--fast"]),
    "env[].name": Change("A", "B", beside={"value": "x"}),
    "env[].value": Change("x", "y", beside={"name": "A"}),
    "env[].valueFrom.secretKeyRef.name": Change("a", "b", beside={"key": "k"}, base=_VARIABLE),
    "env[].valueFrom.secretKeyRef.key": Change("a", "b", beside={"name": "n"}, base=_VARIABLE),
    "env[].valueFrom.configMapKeyRef.name": Change("a", "b", beside={"key": "k"}, base=_VARIABLE),
    "env[].valueFrom.configMapKeyRef.key": Change("a", "b", beside={"name": "n"}, base=_VARIABLE),
    "trainer.task": Change("digits", "my.module:Task"),
    **{f"trainer.earlyStopping.{name}": change for name, change in _EARLY_STOPPING.items()},
    "trainer.warmStartIterations": Change(UNSET, "keep", base={"warmStartFrom": "other"}),
    "trainer.hyperparameters": Change({"learningRate": 0.001}, {"learningRate": 0.01}),
    **{key: change for role in ROLES for key, change in _role_changes(role).items()},
    "chief.replicas": Change(1, 0, base={"command": ["python", "train.py"], "chief": {}}),
    "ps.replicas": Change(1, 2),
    "worker.replicas": Change(2, 3),
    "worker.minReplicas": Change(1, 2),
    "evaluator.replicas": Change(0, 1),
    "data.claim": Change("", "images"),
    "data.uri": Change("", "gs://bucket/images"),
    "data.at": Change(UNSET, "/images", beside={"claim": "images"}),
    **{f"mounts[].{name}": change for name, change in _MOUNTS.items()},
    **{f"code.{name}": change for name, change in _CODE.items()},
    "warmStartFrom": Change(UNSET, "first-run"),
    "state": Change("active", "suspended"),
    "tensorboard.image": Change("tensorboard:1", "tensorboard:2"),
    "tensorboard.resources.requests": Change({"cpu": 1}, {"cpu": 2}),
    "tensorboard.resources.limits": Change({"memory": "3Gi"}, {"memory": "4Gi"}),
    "owner": Change("Ada", "Grace"),
    "description": Change("first", "second"),
    "labels": Change({"team": "a"}, {"team": "b"}),
    "imagePullSecrets[].name": Change("a", "b"),
    "serviceAccountName": Change("", "trainer"),
    "gpu.resource": Change("nvidia.com/gpu", "amd.com/gpu"),
    "failure.permanentExitCodes": Change(UNSET, [3]),
    "failure.rescaleAfter": Change("60s", "90s", base=_ELASTIC_GROUP),
    "podAnnotations": Change({}, {"karpenter.sh/do-not-disrupt": "true"}),
    "scheduling.priorityClassName": Change("", "high"),
    "scheduling.queue": Change("", "team"),
    "scheduling.priority": Change("", "high", beside={"queue": "team"}),
    "metrics.port": Change(9464, 9465, beside={"enabled": True}),
    "metrics.namespace": Change("monitoring", "observability", beside={"enabled": True}),
    "metrics.podMonitor": Change(False, True, beside={"enabled": True}),
    "network.egress[].to": Change("10.1.0.0/16", "anywhere"),
    "network.egress[].ports": Change(UNSET, [443], beside={"to": "anywhere"}),
}


def main() -> None:
    """Print all keys, each with its class."""
    for key, node in sorted(LEAVES.items()):
        sys.stdout.write(f"{node['x-class']:9}{key}\n")


if __name__ == "__main__":
    main()
