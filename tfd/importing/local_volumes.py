"""Volumes of one pod: shared memory, scratch space, Secrets and ConfigMaps as files, and files of the node."""

from __future__ import annotations

import re
from typing import Any

from tfd.importing.context import Context
from tfd.importing.git_sync import is_checkout
from tfd.importing.places import append
from tfd.importing.volumes import EVERY_TASK, Volume
from tfd.quantities import quantity
from tfd.text import shown

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the path of a mount
_ZONE = re.compile(r"/usr/share/zoneinfo/([A-Za-z_]+(?:/[A-Za-z_+-]+)*[A-Za-z0-9_+-]*)")
_DRIVER = re.compile(r"/(usr|lib|opt|var/lib|home/kubernetes|dev)\b[^:]*nvidia.*", re.IGNORECASE)
_OF_NODE = re.compile(r"/(dev|proc|sys|run|var/run|lib/modules)(/.*)?|.*\.sock")
_CLOUD_KEY = re.compile(r"gcp|gcs|gcloud|google|aws|azure|user-gcp-sa|cloud", re.IGNORECASE)
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_FILES = {"secret", "configMap", "serviceAccountToken", "clusterTrustBundle"}
_SIZE = ("Set a size such as 10Gi: above it, the pod is evicted or the write fails.",)


def is_share(volume: Volume) -> bool:
    """Return whether several pods share a volume: all but those of the pod, and files of the node."""
    of_pod = volume.kind in ("emptyDir", "secret", "configMap", "downwardAPI", "projected")
    of_node = _is_time_zone(volume) or any(kind.fullmatch(volume.host_path) for kind in (_DRIVER, _OF_NODE))
    return not (of_pod or of_node or volume.at == _SHARED_MEMORY)


def _is_time_zone(volume: Volume) -> bool:
    return "/etc/localtime" in (volume.at, volume.host_path)


def read_local(context: Context, volume: Volume) -> None:
    """Settle a volume that is not a share."""
    if volume.at == _SHARED_MEMORY:
        _shared_memory(context, volume)
    elif volume.kind == "emptyDir":
        _scratch(context, volume)
    elif volume.kind in ("secret", "configMap"):
        _files(context, volume)
    elif _is_time_zone(volume):
        _time_zone(context, volume)
    elif volume.kind == "hostPath" and not _DRIVER.fullmatch(volume.host_path):
        volume.dropped("restricted Pod Security refuses devices, sockets and system folders of the node")
    elif volume.kind == "hostPath":
        volume.dropped("the device plug-in of the cluster brings the driver of the GPU")
    elif any(set(source.block()) & _FILES for source in volume.source.child("sources").items()):
        _projected(context, volume)
    else:
        volume.dropped("no key; POD_NAME, POD_IP, TASK_TYPE and TASK_INDEX are in the environment")


def _shared_memory(context: Context, volume: Volume) -> None:
    limit = volume.source.child("sizeLimit").value if volume.kind == "emptyDir" else None
    bounded = bool(limit)
    for each in volume.roles:
        target = context.target(each)
        memory = each.container.at("resources", "limits", "memory").value or context.answers.memory
        size = _smaller(limit, memory)
        bounded = bounded and size == limit
        if size and context.draft.get(target, "shm") not in (None, str(size)):
            context.ledger.note(f"{target}.shm", f"{size}, as for {each.name}; another role had another size")
        if size:
            context.draft.set(target, "shm", value=str(size))
        else:
            context.draft.ask(target, "shm", question="how much shared memory does a task use?", hints=_SIZE)
    volume.settle("ROLE.shm", "" if bounded else "its limit is that of the memory, of which it is a part")


def _smaller(limit: Any, memory: Any) -> Any:  # noqa: ANN401 - values of a manifest
    """Return the size that Kubernetes gives a volume in memory; None if neither is set."""
    try:
        return min((each for each in (limit, memory) if each), key=quantity, default=None)
    except ValueError:
        return limit or memory


def _scratch(context: Context, volume: Volume) -> None:
    if volume.at == "/tmp":  # noqa: S108 - the path of a mount
        volume.settle("", "the chart has an empty /tmp in every task")
        return
    if is_checkout(context, volume):
        volume.settle("code.git", "the repository is at /code, and nothing else is in this volume")
        return
    item = append(context, volume)
    limit = volume.source.child("sizeLimit").value
    if limit:
        context.draft.set(*item, "scratch", value=str(limit))
    else:
        context.draft.ask(*item, "scratch", question=f"how much does a task write below {volume.at}?", hints=_SIZE)
    memory = volume.source.child("medium").value == "Memory"
    volume.settle(
        "mounts", f"{EVERY_TASK}; {'on the disk of the node, not in memory; ' if memory else ''}it has a limit"
    )


def _files(context: Context, volume: Volume) -> None:
    name = volume.source.child("secretName" if volume.kind == "secret" else "name")
    key_file = any(
        variable.child("name").value == _KEY_FILE and str(variable.child("value").value).startswith(volume.at)
        for each in volume.roles
        for variable in each.container.child("env").items()
    )
    if volume.kind == "secret" and (key_file or _CLOUD_KEY.search(name.text())):
        question = f"which service account has the rights of the key in Secret {name.text()}?"
        if not context.draft.get("serviceAccountName"):
            context.draft.ask("serviceAccountName", question=question)
        context.removed.append(volume.at)
        volume.settle("serviceAccountName", "workload identity instead of a key of a cloud in every pod")
        return
    item = append(context, volume)
    context.draft.set(*item, volume.kind, value=name.text())
    items = volume.source.child("items").items()
    if volume.folder or any(each.child("key").value != each.child("path").value for each in items):
        what = f"the file {volume.folder}" if volume.folder else "files of other names"
        question = f"in which folder does the program find all keys of {name.text()} (it mounted {what})?"
        context.draft.ask(*item, "at", question=question)
    for source in volume.sources:
        if source.child("optional").value:
            source.child("optional").dropped("the object has to exist, else the task waits")
    volume.settle("mounts", f"{EVERY_TASK}; all keys as files, read-only, with mode 0440")


def _projected(context: Context, volume: Volume) -> None:
    """Ask for the one object with the files of a projected volume."""
    item = append(context, volume)
    question = f"which Secret has the files of the projected volume at {volume.at}?"
    hints = (
        f"It was {shown(volume.source.child('sources').value)[:200]}.",
        "Each Secret and each ConfigMap is a mount of its own. No pod gets a token of the Kubernetes API.",
    )
    context.draft.ask(*item, "secret", question=question, hints=hints)
    volume.settle("mounts", "one object in one mount instead of several in one folder")


def _time_zone(context: Context, volume: Volume) -> None:
    if zone := _ZONE.fullmatch(volume.host_path):
        context.draft.append("env", {"name": "TZ", "value": zone[1]})
        volume.settle("env", f"TZ={zone[1]} instead of a file of the node")
    else:
        volume.dropped("a file of the node; set TZ in env for another time zone than UTC")
