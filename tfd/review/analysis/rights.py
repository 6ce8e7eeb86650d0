"""What one run takes, from its rendered objects: code, images, Secrets, accounts, nodes, storage and network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import Container, ResourceRequest, Workload

# The labels and annotations that the chart sets itself.
_OWN_PREFIXES = ("app.kubernetes.io", "helm.sh", "tf-distributed.github.io")
# Queues and their priorities have rules of their own.
_OWN_NAMES = (
    *(f"{KUEUE}/{name}" for name in ("is-group-workload", "pod-group-total-count", "role-hash")),
    QUEUE_LABEL,
    QUEUE_PRIORITY_LABEL,
)
_BUCKET = re.compile(r"gs://[^\s\"'`,;|&<>(){}\[\]\\]+")
# The volume of an item of `mounts`.
_MOUNT = re.compile("mount-([0-9])")
# What the chart puts before a custom program; the mode follows.
_GUARD = ("sh", "/etc/tf-distributed/guard.sh")
# The code container of the chart, whose Secret and image have keys of their own.
_CODE = "code"
# The volume of a workbench with its token, and the key.
_TOKEN = "token"  # noqa: S105 - a name
ENTRY_POINT = "(entry point of the image)"


@dataclass(frozen=True, order=True)
class Right:
    """One thing that a run takes."""

    value: str
    where: str = ""
    """The container, variable, volume or role that has it."""
    key: Key = field(default=(), compare=False)
    """The key of the job file that sets it; empty where none is known."""


@dataclass(frozen=True)
class Rights:
    """What one run takes. Every tuple is sorted, and each thing is in it once."""

    code: tuple[Right, ...]
    """Commits as `REPOSITORY@COMMIT`."""
    repositories: tuple[Right, ...]
    """Addresses of git repositories, with the container that reads them."""
    code_files: tuple[Right, ...]
    """Names of files in the job file; `where` is the ConfigMap."""
    command: tuple[str, ...]
    """Command and arguments of the tasks; empty for the trainer without arguments. ENTRY_POINT is that of the image."""
    images: tuple[Right, ...]
    """Image of every container; `where` is the name of the container, or the role that has its own image."""
    secrets: tuple[Right, ...]
    """Names of Secrets; `where` is the variable or the volume that reads it, or imagePullSecrets."""
    tokens: tuple[Right, ...]
    """Secrets with the token of a workbench that have its name. Others are in `secrets`."""
    config_maps: tuple[Right, ...]
    """Names of ConfigMaps that the run does not create itself."""
    service_accounts: tuple[Right, ...]
    priority_classes: tuple[Right, ...]
    """Names; `where` is the role."""
    schedulers: tuple[Right, ...]
    """Names of schedulers other than the default; `where` is the role."""
    queues: tuple[Right, ...]
    """Queues of Kueue; `where` is the role."""
    queue_priorities: tuple[Right, ...]
    """Priorities in the queue; `where` is the role."""
    taints: tuple[Right, ...]
    """Tolerated taints as `KEY=VALUE`, `KEY` for every value, or `*` for every taint; `where` is the role."""
    nodes: tuple[Right, ...]
    """Node labels as `NAME=VALUE`; `where` is the role."""
    claims: tuple[Right, ...]
    """Claims that exist already; `where` is `reads` or `writes`."""
    new_claims: tuple[Right, ...]
    """Claims that the run creates; `where` is the size."""
    buckets: tuple[Right, ...]
    """Folders of buckets; `where` is the variable, `command`, `args` or `identity`; RUN_DIR is the storage."""
    warm_start: str
    """The run whose weights this run starts from, in the same storage."""
    incoming: tuple[Right, ...]
    """Who may reach the pods; `where` is the component. `anywhere` if no policy selects them."""
    outgoing: tuple[Right, ...]
    """What the pods may reach; `where` is the component. `anywhere` if no policy selects them."""
    egress: tuple[Right, ...]
    """Addresses that the job file adds to what the tasks may reach; `where` is the ports."""
    metrics_namespaces: tuple[Right, ...]
    """Namespaces whose pods may reach the pods of a run."""
    ingress_namespaces: tuple[Right, ...]
    """Namespaces whose pods may reach a workbench."""
    labels: tuple[Right, ...]
    """Names of the labels that the chart does not set itself; `where` is the value."""
    annotations: tuple[Right, ...]
    """The same for annotations, those of pods included."""
    request: ResourceRequest
    hours: float
    """The longest deadline of a Kubernetes Job; 0 without one."""


def rights_of(rendering: Rendering, values: Mapping[str, Any]) -> Rights:
    """Return what a run takes.

    Args:
        rendering: the rendered objects of the run.
        values: the job file as written, to find the keys.

    """
    pods, objects = rendering.workloads, rendering.objects
    places = _variables(values)
    volumes = [each for pod in pods for each in _volumes(pod)]
    secrets = _sorted(_secrets(pods, volumes, places))
    benches = [pod for pod in pods if pod.component == WORKBENCH]
    tokens = {f"{pod.labels.get(INSTANCE_LABEL)}{TOKEN_END}" for pod in benches}
    return Rights(
        code=_sorted(Right(f"{url}@{commit}", name, key) for url, commit, name, key in _repositories(pods)),
        repositories=_sorted(Right(url, name, key) for url, _, name, key in _repositories(pods)),
        code_files=_sorted(_code_files(objects, volumes)),
        command=_command(pods),
        images=_sorted(_images(pods, values)),
        secrets=tuple(each for each in secrets if each.value not in tokens),
        tokens=tuple(each for each in secrets if each.value in tokens),
        config_maps=_sorted(_config_maps(pods, volumes, places, _names(objects, "ConfigMap"))),
        service_accounts=_sorted(_fields(pods, "serviceAccountName", ("serviceAccountName",))),
        priority_classes=_sorted(_fields(pods, "priorityClassName", ("scheduling", "priorityClassName"))),
        schedulers=_sorted(_fields(pods, "schedulerName", ("scheduling", "schedulerName"))),
        queues=_sorted(_labels(pods, QUEUE_LABEL, ("scheduling", "queue"))),
        queue_priorities=_sorted(_labels(pods, QUEUE_PRIORITY_LABEL, ("scheduling", "priority"))),
        taints=_sorted(_taints(pods)),
        nodes=_sorted(_nodes(pods)),
        claims=_sorted(_claims(volumes, _names(objects, "PersistentVolumeClaim"))),
        new_claims=_sorted(_new_claims(objects)),
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


def _containers(pods: Iterable[Workload]) -> Iterator[Container]:
    for pod in pods:
        yield from pod.containers


def _variables(values: Mapping[str, Any]) -> dict[str, Key]:
    """Return the key of each variable of the job file."""
    written = values.get("env")
    found = enumerate(written) if isinstance(written, list) else ()
    return {str(each.get("name")): ("env", index) for index, each in found if isinstance(each, dict)}


def _environment(container: Container) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the source of each variable; an envFrom has no name."""
    for variable in container.get("env") or []:
        yield variable["name"], variable.get("valueFrom") or {}
    for source in container.get("envFrom") or []:
        yield "envFrom", source


def _repositories(pods: Iterable[Workload]) -> Iterator[tuple[str, str, str, Key]]:
    """Yield address and commit of each git repository, and the container that fetches it."""
    for container in _containers(pods):
        variables = {each["name"]: str(each.get("value", "")) for each in container.get("env") or []}
        if container["name"] == _CODE and "CODE_REPOSITORY" in variables:
            key: Key = ("code", "git", "repository")
            yield variables["CODE_REPOSITORY"], variables.get("CODE_COMMIT", ""), _CODE, key


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
        _CODE: ("code", "image"),
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


def _volumes(pod: Workload) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield each volume, and whether a container may write to it. A projected volume is several."""
    for volume in pod.spec.get("volumes") or []:
        mounts = [
            mount
            for container in pod.containers
            for mount in container.get("volumeMounts") or []
            if mount["name"] == volume["name"]
        ]
        writes = any(not mount.get("readOnly") for mount in mounts)
        yield volume, writes
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield {"name": volume["name"]} | source, writes


_Volumes = list[tuple[dict[str, Any], bool]]


def _code_files(objects: Iterable[Object], volumes: _Volumes) -> Iterator[Right]:
    """Yield the files of the ConfigMaps that the run creates and mounts, except the run record."""
    mounted = {volume["configMap"].get("name") for volume, _ in volumes if "configMap" in volume}
    for item in objects:
        name = item["metadata"]["name"]
        if item["kind"] == "ConfigMap" and name in mounted and "run.json" not in item["data"]:
            yield from (Right(file, name, ("code", "files", file)) for file in item["data"])


def _secrets(pods: list[Workload], volumes: _Volumes, places: dict[str, Key]) -> Iterator[Right]:
    for container in _containers(pods):
        for variable, source in _environment(container):
            if reference := source.get("secretKeyRef") or source.get("secretRef"):
                key = ("code", "git", "tokenSecret") if container["name"] == _CODE else places.get(variable, ())
                yield Right(reference["name"], variable, key)
    for pod in pods:
        for each in pod.spec.get("imagePullSecrets") or []:
            yield Right(each["name"], "imagePullSecrets", ("imagePullSecrets",))
    for volume, _ in volumes:
        if secret := volume.get("secret"):
            name = secret.get("secretName") or secret["name"]
            yield Right(name, *_place(volume, "secret"))


def _config_maps(
    pods: list[Workload], volumes: _Volumes, places: dict[str, Key], own: set[str]
) -> Iterator[Right]:  # fmt: skip
    for container in _containers(pods):
        for variable, source in _environment(container):
            reference = source.get("configMapKeyRef") or source.get("configMapRef")
            if reference and reference["name"] not in own:
                yield Right(reference["name"], variable, places.get(variable, ()))
    for volume, _ in volumes:
        if "configMap" in volume and volume["configMap"].get("name") not in own:
            yield Right(volume["configMap"]["name"], *_place(volume, "configMap"))


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


def _claims(volumes: _Volumes, own: set[str]) -> Iterator[Right]:
    keys: dict[str, Key] = {"runs": ("storage", "claim"), "data": ("data", "claim")}
    for volume, writes in volumes:
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name and name not in own:
            key = keys.get(volume["name"]) or _place(volume, "claim")[1]
            yield Right(name, "writes" if writes else "reads", key)


def _place(volume: dict[str, Any], kind: str) -> tuple[str, Key]:
    """Return the item of `mounts` that a volume is of, in words and with its key; else the volume and no key."""
    if volume["name"] == _TOKEN:
        return f"volume {_TOKEN}", (_TOKEN, kind)
    if found := _MOUNT.fullmatch(volume["name"]):
        return f"mounts[{found[1]}]", ("mounts", int(found[1]), kind)
    return f"volume {volume['name']}", ()


def _new_claims(objects: Iterable[Object]) -> Iterator[Right]:
    for item in objects:
        if item["kind"] == "PersistentVolumeClaim":
            size = item["spec"]["resources"]["requests"]["storage"]
            yield Right(item["metadata"]["name"], str(size), ("storage", "create", "size"))


def _buckets(pods: list[Workload], record: dict[str, Any], places: dict[str, Key]) -> Iterator[Right]:
    """Yield every folder of a bucket that the environment, the command or the identity names.

    The run directory and the logs of TensorBoard are in the folder of the storage, which is named instead.
    """
    end = f"/{record.get('run')}"
    keys: dict[str, Key] = {"RUN_DIR": ("storage", "uri"), "DATA_DIR": ("data", "uri")} | places
    for container in _containers(pods):
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
