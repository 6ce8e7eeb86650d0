"""Reads from the rendered objects of a run what the run takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tfd.jobfile.helm_yaml import Key
from tfd.kubernetes import (
    INSTANCE_LABEL,
    KUEUE,
    QUEUE_LABEL,
    QUEUE_PRIORITY_LABEL,
    ROLES,
    TENSORBOARD,
    TOKEN_END,
    WORKBENCH,
    Object,
)
from tfd.review.analysis.network import peers
from tfd.review.analysis.rights import Right, Rights
from tfd.review.analysis.volume_rights import (
    CODE,
    claims,
    code_files,
    config_maps,
    containers_of,
    new_claims,
    secrets,
    volumes_of,
)
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import Workload, expanded

# The labels and annotations that the chart sets itself.
_OWN_PREFIXES = ("app.kubernetes.io", "helm.sh", "tf-distributed.github.io")
# Queues and their priorities have rules of their own.
_OWN_NAMES = (
    *(f"{KUEUE}/{name}" for name in ("is-group-workload", "pod-group-total-count", "role-hash")),
    QUEUE_LABEL,
    QUEUE_PRIORITY_LABEL,
)
_BUCKET = re.compile(r"gs://[^\s\"'`,;|&<>(){}\[\]\\]+")
# What the chart puts before a custom program; the mode follows.
_GUARD = ("sh", "/etc/tf-distributed/guard.sh")
ENTRY_POINT = "(entry point of the image)"


def rights_of(rendering: Rendering, values: Mapping[str, Any]) -> Rights:
    """Return what a run takes.

    Args:
        rendering: the rendered objects of the run.
        values: the job file as written, to find the keys.

    """
    pods, objects = rendering.workloads, rendering.objects
    places = _variables(values)
    volumes = [each for pod in pods for each in volumes_of(pod)]
    read = _sorted(secrets(pods, volumes, places))
    benches = [pod for pod in pods if pod.component == WORKBENCH]
    tokens = {f"{pod.labels.get(INSTANCE_LABEL)}{TOKEN_END}" for pod in benches}
    return Rights(
        code=_sorted(Right(f"{url}@{commit}", name, key) for url, commit, name, key in _repositories(pods)),
        repositories=_sorted(Right(url, name, key) for url, _, name, key in _repositories(pods)),
        code_files=_sorted(code_files(objects, volumes)),
        command=_command(pods),
        images=_sorted(_images(pods, values)),
        secrets=tuple(each for each in read if each.value not in tokens),
        tokens=tuple(each for each in read if each.value in tokens),
        config_maps=_sorted(config_maps(pods, volumes, places, _names(objects, "ConfigMap"))),
        service_accounts=_sorted(_fields(pods, "serviceAccountName", ("serviceAccountName",))),
        priority_classes=_sorted(_fields(pods, "priorityClassName", ("scheduling", "priorityClassName"))),
        schedulers=_sorted(_fields(pods, "schedulerName", ("scheduling", "schedulerName"))),
        queues=_sorted(_labels(pods, QUEUE_LABEL, ("scheduling", "queue"))),
        queue_priorities=_sorted(_labels(pods, QUEUE_PRIORITY_LABEL, ("scheduling", "priority"))),
        taints=_sorted(_taints(pods)),
        nodes=_sorted(_nodes(pods)),
        claims=_sorted(claims(volumes, _names(objects, "PersistentVolumeClaim"))),
        new_claims=_sorted(new_claims(objects)),
        buckets=_sorted(_buckets(pods, rendering.record, places)),
        warm_start=str(rendering.identity.get("warmStartFrom") or ""),
        incoming=_sorted(Right(*each) for each in peers(pods, objects, "Ingress")),
        outgoing=_sorted(Right(*each) for each in peers(pods, objects, "Egress")),
        egress=_sorted(_egress(values)),
        metrics_namespaces=() if benches else _sorted(_namespaces(objects, ("metrics", "namespace"))),
        ingress_namespaces=_sorted(_namespaces(objects, ("network", "ingress"))) if benches else (),
        labels=_sorted(_metadata(objects, "labels")),
        annotations=_sorted((*_metadata(objects, "annotations"), *_pod_annotations(pods))),
        request=rendering.request,
        hours=rendering.hours,
    )


def _sorted(found: Iterable[Right]) -> tuple[Right, ...]:
    return tuple(sorted(dict.fromkeys(found)))


def _names(objects: Iterable[Object], kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in objects if item["kind"] == kind}


def _variables(values: Mapping[str, Any]) -> dict[str, Key]:
    """Return the key of each variable of the job file."""
    written = values.get("env")
    found = enumerate(written) if isinstance(written, list) else ()
    return {str(each.get("name")): ("env", index) for index, each in found if isinstance(each, dict)}


def _repositories(pods: Iterable[Workload]) -> Iterator[tuple[str, str, str, Key]]:
    """Yield address and commit of each git repository, and the container that fetches it."""
    for container in containers_of(pods):
        variables = {each["name"]: str(each.get("value", "")) for each in container.get("env") or []}
        if container["name"] == CODE and "CODE_REPOSITORY" in variables:
            key: Key = ("code", "git", "repository")
            yield variables["CODE_REPOSITORY"], variables.get("CODE_COMMIT", ""), CODE, key


def _command(pods: Iterable[Workload]) -> tuple[str, ...]:
    """Return command and arguments of the tasks, which are the same in all roles, without the chart's guard."""
    for pod in pods:
        for container in pod.spec["containers"]:
            if pod.component in ROLES:
                words = (*(container.get("command") or [ENTRY_POINT]), *(container.get("args") or []))
                words = words[len(_GUARD) + 1 :] if words[: len(_GUARD)] == _GUARD else words
                return () if words == ("python", "-m", "trainer") else words
    return ()


def _images(pods: Iterable[Workload], values: Mapping[str, Any]) -> Iterator[Right]:
    keys: dict[str, Key] = {
        "trainer": ("image",),
        WORKBENCH: ("image",),
        CODE: ("code", "image"),
        TENSORBOARD: ("tensorboard", "image"),
    }
    for pod in pods:
        block = values.get(pod.component)
        own = pod.component in ROLES and isinstance(block, dict) and "image" in block
        for each in pod.containers:
            if own and each["name"] == "trainer":
                yield Right(each["image"], pod.component, (pod.component, "image"))
            else:
                yield Right(each["image"], each["name"], keys.get(each["name"], ()))


def _fields(pods: Iterable[Workload], name: str, key: Key) -> Iterator[Right]:
    for pod in pods:
        if pod.spec.get(name):
            yield Right(pod.spec[name], pod.component, key)


def _labels(pods: Iterable[Workload], name: str, key: Key) -> Iterator[Right]:
    for pod in pods:
        if value := pod.queue_label(name):
            yield Right(value, pod.component, key)


def _taints(pods: Iterable[Workload]) -> Iterator[Right]:
    for pod in pods:
        for each in pod.spec.get("tolerations") or []:
            value = "" if each.get("operator") == "Exists" else f"={each.get('value', '')}"
            yield Right(f"{each['key']}{value}" if each.get("key") else "*", pod.component, _role(pod, "tolerations"))


def _nodes(pods: Iterable[Workload]) -> Iterator[Right]:
    for pod in pods:
        for name, value in (pod.spec.get("nodeSelector") or {}).items():
            yield Right(f"{name}={value}", pod.component, _role(pod, "nodeSelector"))


def _role(pod: Workload, name: str) -> Key:
    if pod.component == WORKBENCH:
        return (name,)
    return (pod.component, name) if pod.component in ROLES else ()


def _buckets(pods: list[Workload], record: dict[str, Any], places: dict[str, Key]) -> Iterator[Right]:
    """Yield every folder of a bucket that the environment, the command or the identity names.

    The run directory and the logs of TensorBoard are in the folder of the storage, which is named instead.
    """
    end = f"/{record.get('run')}"
    keys: dict[str, Key] = {"RUN_DIR": ("storage", "uri"), "DATA_DIR": ("data", "uri")} | places
    for container in map(expanded, containers_of(pods)):
        for variable in container.get("env") or []:
            for found in _BUCKET.findall(str(variable.get("value", ""))):
                folder = found.removesuffix(end) if variable["name"] == "RUN_DIR" else found
                yield Right(folder, variable["name"], keys.get(variable["name"], ()))
        words = [("command", word) for word in container.get("command") or []]
        words += [("args", word) for word in container.get("args") or []]
        for where, word in words:
            for found in _BUCKET.findall(str(word)):
                logs = container["name"] in (TENSORBOARD, WORKBENCH)
                yield (
                    Right(found.removesuffix(end), "RUN_DIR", keys["RUN_DIR"])
                    if logs
                    else Right(found, where, (where,))
                )
    for name, value in record.get("identity", {}).items():
        if name not in ("code", "env", "command", "args", "storage", "data"):
            yield from (
                Right(found, "identity", (name,)) for found in _BUCKET.findall(json.dumps(value, ensure_ascii=False))
            )


def _egress(values: Mapping[str, Any]) -> Iterator[Right]:
    """Yield the listed addresses. In a rendered policy they look like those that the chart allows itself."""
    network = values.get("network")
    for index, each in enumerate((network.get("egress") or []) if isinstance(network, dict) else []):
        ports = ", ".join(map(str, each.get("ports", [])))
        yield Right(each["to"], ports, ("network", "egress", index))


def _namespaces(objects: Iterable[Object], key: Key) -> Iterator[Right]:
    """Yield the namespaces that the policies let in: the value of each label, and `*` for a selector without labels."""
    policies = (item["spec"] for item in objects if item["kind"] == "NetworkPolicy")
    peers_in = (peer for spec in policies for rule in spec.get("ingress") or [] for peer in rule.get("from") or [])
    for selector in (peer["namespaceSelector"] for peer in peers_in if peer.get("namespaceSelector") is not None):
        for name in (selector.get("matchLabels") or {"": "*"}).values():
            yield Right(str(name), "", key)


def _metadata(objects: Iterable[Object], kind: str) -> Iterator[Right]:
    for item in objects:
        for name, value in (item["metadata"].get(kind) or {}).items():
            if name.rpartition("/")[0] not in _OWN_PREFIXES and name not in _OWN_NAMES:
                yield Right(name, str(value), (kind, name) if kind == "labels" else ())


def _pod_annotations(pods: Iterable[Workload]) -> Iterator[Right]:
    for pod in pods:
        for name, value in pod.annotations.items():
            if name not in _OWN_NAMES:
                yield Right(name, str(value), ("podAnnotations", name))
