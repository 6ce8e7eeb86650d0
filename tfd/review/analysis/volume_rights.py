"""What the volumes and the variables of a run read and write: files, Secrets, ConfigMaps and claims."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tfd.jobfile.helm_yaml import Key
from tfd.kubernetes import Object
from tfd.review.analysis.rights import Right
from tfd.review.sources.workloads import Container, Workload

# The code container of the chart, whose Secret and image have keys of their own.
CODE = "code"
# The volume of an item of `mounts`.
_MOUNT = re.compile("mount-([0-9])")
# The volume of a workbench with its token, and the key.
_TOKEN = "token"  # noqa: S105 - a name

Volumes = list[tuple[dict[str, Any], bool]]
"""Volumes, each with whether a container may write to it."""


def containers_of(pods: Iterable[Workload]) -> Iterator[Container]:
    """Yield the containers of all pods, init containers included."""
    for pod in pods:
        yield from pod.containers


def environment(container: Container) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the source of each variable; an envFrom has no name."""
    for variable in container.get("env") or []:
        yield variable["name"], variable.get("valueFrom") or {}
    for source in container.get("envFrom") or []:
        yield "envFrom", source


def volumes_of(pod: Workload) -> Iterator[tuple[dict[str, Any], bool]]:
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


def code_files(objects: Iterable[Object], volumes: Volumes) -> Iterator[Right]:
    """Yield the files of the ConfigMaps that the run creates and mounts, except the run record."""
    mounted = {volume["configMap"].get("name") for volume, _ in volumes if "configMap" in volume}
    for item in objects:
        name = item["metadata"]["name"]
        if item["kind"] == "ConfigMap" and name in mounted and "run.json" not in item["data"]:
            yield from (Right(file, name, ("code", "files", file)) for file in item["data"])


def secrets(pods: list[Workload], volumes: Volumes, places: dict[str, Key]) -> Iterator[Right]:
    """Yield the Secrets that variables, volumes and the kubelet read, which pulls images."""
    for container in containers_of(pods):
        for variable, source in environment(container):
            if reference := source.get("secretKeyRef") or source.get("secretRef"):
                key = ("code", "git", "tokenSecret") if container["name"] == CODE else places.get(variable, ())
                yield Right(reference["name"], variable, key)
    for pod in pods:
        for each in pod.spec.get("imagePullSecrets") or []:
            yield Right(each["name"], "imagePullSecrets", ("imagePullSecrets",))
    for volume, _ in volumes:
        if secret := volume.get("secret"):
            name = secret.get("secretName") or secret["name"]
            yield Right(name, *_place(volume, "secret"))


def config_maps(pods: list[Workload], volumes: Volumes, places: dict[str, Key], own: set[str]) -> Iterator[Right]:
    """Yield the ConfigMaps that variables and volumes read, except those of the run itself."""
    for container in containers_of(pods):
        for variable, source in environment(container):
            reference = source.get("configMapKeyRef") or source.get("configMapRef")
            if reference and reference["name"] not in own:
                yield Right(reference["name"], variable, places.get(variable, ()))
    for volume, _ in volumes:
        if "configMap" in volume and volume["configMap"].get("name") not in own:
            yield Right(volume["configMap"]["name"], *_place(volume, "configMap"))


def claims(volumes: Volumes, own: set[str]) -> Iterator[Right]:
    """Yield the claims that are mounted, except those of the run itself."""
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


def new_claims(objects: Iterable[Object]) -> Iterator[Right]:
    """Yield the claims that the run creates; `where` is the size."""
    for item in objects:
        if item["kind"] == "PersistentVolumeClaim":
            size = item["spec"]["resources"]["requests"]["storage"]
            yield Right(item["metadata"]["name"], str(size), ("storage", "create", "size"))
