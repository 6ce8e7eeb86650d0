"""Every key of a workbench file, and two files that differ in this key alone."""

import copy
from typing import Any

from tests.chart.keys import UNSET, leaves, place
from tests.chart.rendering import Values
from tests.chart.workbench.rendering import SCHEMA

MEMORY = {"resources": {"limits": {"memory": "8Gi"}}}
CLAIM = {"storage": {"claim": "runs"}}
TOLERATION = {"tolerations": [{"key": "a"}]}
TIMED = {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute"}]}


LEAVES = dict(leaves(SCHEMA))
# A key, two values of it, and the other keys of both files.
CHANGES: dict[str, tuple[Any, Any, Values]] = {
    "chartVersion": (UNSET, "0.0.9", {}),
    "image": ("a", "b", {}),
    "editor": (True, False, CLAIM),
    "tensorboard": (True, False, {}),
    "idleAfter": ("1h", "2h", {}),
    "token.secret": (UNSET, "a", {}),
    "token.key": ("a", "b", {}),
    "storage.claim": ("a", "b", {}),
    "storage.uri": ("gs://aaa", "gs://bbb", {}),
    "storage.writable": (False, True, CLAIM),
    "resources.requests": ({"cpu": 1}, {"cpu": 2}, {}),
    "resources.limits": ({"memory": "5Gi"}, {"memory": "6Gi"}, {}),
    "gpus": (0, 1, MEMORY),
    "shm": (UNSET, "1Gi", {}),
    "nodeSelector": ({"a": "1"}, {"a": "2"}, {}),
    "tolerations[].key": ("a", "b", {"tolerations": [{"operator": "Exists"}]}),
    "tolerations[].operator": ("Exists", "Equal", TOLERATION),
    "tolerations[].value": ("a", "b", TOLERATION),
    "tolerations[].effect": ("NoSchedule", "NoExecute", TOLERATION),
    "tolerations[].tolerationSeconds": (1, 2, TIMED),
    "gpu.resource": ("nvidia.com/gpu", "amd.com/gpu", {"gpus": 1, **MEMORY}),
    "scheduling.queue": ("", "a", {}),
    "scheduling.priority": ("", "a", {"scheduling": {"queue": "q"}}),
    "scheduling.priorityClassName": ("", "a", {}),
    "imagePullPolicy": ("Always", "Never", {}),
    "imagePullSecrets[].name": ("a", "b", {}),
    "serviceAccountName": ("", "a", {}),
    "runAsUser": (1, 2, {}),
    "home.size": ("1Gi", "2Gi", {}),
    "home.storageClassName": (UNSET, "a", {}),
    "session": (1, 2, {}),
    "network.ingress": ([], ["a"], {}),
    "network.egress[].to": ("anywhere", "10.0.0.0/8", {}),
    "network.egress[].ports": ([1], [2], {"network": {"egress": [{"to": "anywhere"}]}}),
    "owner": ("", "a", {}),
    "description": ("", "a", {}),
    "labels": ({}, {"a": "1"}, {}),
}


def files(key: str) -> tuple[Values, Values]:
    """Return two workbench files that differ in `key` alone."""
    before, after, base = CHANGES[key]
    return _file(key, before, base), _file(key, after, base)


def _file(key: str, value: Any, base: Values) -> Values:
    file = copy.deepcopy(base)
    block, name = place(file, key)
    if value is not UNSET:
        block[name] = value
    return file
