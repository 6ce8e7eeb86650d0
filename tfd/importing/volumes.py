"""The volumes of a manifest: its storage, its data, more mounts and shared memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tfd.importing.context import Context, Move
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.jobfile.helm_yaml import Key
from tfd.text import shown

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the path of a mount
# Places of the chart and of the system, where no volume of the user can be.
_TAKEN = re.compile(r"/(tmp|code|dev|etc|proc|sys|run|var/run)?(/.*)?")
_PATH = re.compile(r"(/[A-Za-z0-9_][-A-Za-z0-9_.]*)+")
_DATA = re.compile(r"data|input|corpus|imagenet", re.IGNORECASE)
_ZONE = re.compile(r"/usr/share/zoneinfo/([A-Za-z_]+(?:/[A-Za-z_+-]+)*[A-Za-z0-9_+-]*)")
_DRIVER = re.compile(r"/(usr/(local/)?(lib|bin)|lib|opt|var/lib)[^:]*nvidia.*|/dev/nvidia.*", re.IGNORECASE)
_CLOUD_KEY = re.compile(r"gcp|gcs|gcloud|google|aws|azure|user-gcp-sa|cloud", re.IGNORECASE)
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_EVERY = "every task mounts it"


@dataclass
class Volume:
    """A volume and its mount in one or more roles."""

    source: Field
    """The field of the volume that names its kind, such as persistentVolumeClaim."""
    mounts: list[Field] = field(default_factory=list)
    roles: list[Replicas] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Kind of the volume."""
        return str(self.source.path[-1])

    @property
    def at(self) -> str:
        """Folder where it is mounted."""
        path = self.mounts[0].child("mountPath").text()
        return path.rstrip("/") or "/"

    @property
    def host_path(self) -> str:
        """Path on the node; empty for a volume of another kind."""
        return str(self.source.child("path").value) if self.kind == "hostPath" else ""

    @property
    def folder(self) -> str:
        """Folder of the volume that is mounted; empty for the whole volume."""
        return self.mounts[0].child("subPath").text().strip("/")

    @property
    def claim(self) -> str:
        """Name of the claim; empty for a volume of another kind."""
        names = {"persistentVolumeClaim": "claimName", "volumeClaimName": ""}
        name = names.get(self.kind)
        if name is None:
            return ""
        return self.source.child(name).text() if name else self.source.text()

    @property
    def is_read_only(self) -> bool:
        """Whether no task writes to it."""
        of_volume = self.kind == "persistentVolumeClaim" and self.source.child("readOnly").value is True
        return of_volume or all(mount.child("readOnly").value is True for mount in self.mounts)

    def settle(self, key: str, why: str = "", *, changed: bool = True) -> None:
        """Settle the volume and its mounts in all roles."""
        for each in (self.source, *self.mounts):
            each.changed(key, why) if changed else each.same(key, why)

    def dropped(self, why: str) -> None:
        """Settle the volume and its mounts as dropped."""
        for each in (self.source, *self.mounts):
            each.dropped(why)


def read_volumes(context: Context) -> None:
    """Set storage, data, mounts and shared memory, and the paths that have moved.

    Raises:
        RefusedError: each task has a volume of its own.

    """
    volumes = _volumes(context)
    shares = [each for each in volumes if _is_share(each)]
    storage = _storage(context, shares)
    data = _data(shares, storage)
    if storage:
        _set_storage(context, storage, shares)
    if data:
        _set_data(context, data)
    for each in shares:
        if each not in (storage, data):
            _mount(context, each)
    for each in volumes:
        if each not in shares:
            _local(context, each)


def _volumes(context: Context) -> list[Volume]:
    """Return the volumes of all roles; a volume that several roles mount at one place is one."""
    found: dict[tuple[str, str, str], Volume] = {}
    for each in context.replicas:
        for claims in (each.pod.child("volumeClaimTemplates"), each.block.child("volumeClaimTemplates")):
            if claims.value:
                raise claims.refused(
                    "one claim for all tasks", "Use a claim that all tasks can mount.", "a claim per task"
                )
        sources = _sources(each)
        used = set()
        for mount in each.container.child("volumeMounts").items():
            name = mount.child("name").text()
            if name not in sources:
                raise mount.child("name").refused("the name of a volume of the pod", "Correct the name.")
            used.add(name)
            _add(found, sources[name], mount, each)
        for name in sources.keys() - used:
            sources[name].dropped(f"no container mounts the volume {shown(name)}")
    _job_volumes(context, found)
    return list(found.values())


def _sources(each: Replicas) -> dict[str, Field]:
    sources = {}
    for volume in each.pod.child("volumes").items():
        name = volume.child("name")
        kinds = [kind for kind in volume.children() if kind.path[-1] != "name" and kind.value is not None]
        # Kubernetes takes a volume without a kind as an emptyDir.
        kind = kinds[0] if kinds else Field((*volume.path, "emptyDir"), {}, volume.ledger)
        sources[name.text()] = kind
        name.noise("the name only connects a volume with its mounts")
    return sources


def _add(found: dict[tuple[str, str, str], Volume], source: Field, mount: Field, each: Replicas) -> None:
    if mount.child("subPathExpr").value:
        raise mount.child("subPathExpr").refused("one folder for all tasks", "Use subPath, or a path in the program.")
    if source.path[-1] == "ephemeral":
        raise source.refused("one claim for all tasks", "Use a claim that all tasks can mount.", "a claim per task")
    at = mount.child("mountPath").text().rstrip("/")
    identity = (at, shown(source.value), str(mount.child("subPath").value))
    volume = found.setdefault(identity, Volume(source))
    volume.mounts.append(mount)
    volume.roles.append(each)
    if volume.source.path != source.path:
        volume.mounts.append(source)  # the same volume in another role: settled with it


def _job_volumes(context: Context, found: dict[tuple[str, str, str], Volume]) -> None:
    """Add the volumes of a Job of Volcano, which all of its tasks mount."""
    volumes = context.manifest.spec.child("volumes").items() if context.manifest.is_volcano else []
    for volume in volumes:
        source = volume.child("volumeClaimName")
        if source.value is None:
            source = volume.child("volumeClaim")
        at = volume.child("mountPath").text()
        found[(at, shown(source.value), "")] = Volume(source, [volume], list(context.replicas))


def _is_share(volume: Volume) -> bool:
    """Return whether several pods share a volume: all but those of the pod, and files of the node."""
    of_pod = volume.kind in ("emptyDir", "secret", "configMap", "downwardAPI", "projected")
    return not (of_pod or volume.at == _SHARED_MEMORY or _is_time_zone(volume) or _DRIVER.fullmatch(volume.host_path))


def _is_time_zone(volume: Volume) -> bool:
    return "/etc/localtime" in (volume.at, volume.host_path)


def _local(context: Context, volume: Volume) -> None:
    """Settle a volume that is not a share."""
    if volume.at == _SHARED_MEMORY:
        _shared_memory(context, volume)
    elif volume.kind == "emptyDir":
        _scratch(context, volume)
    elif volume.kind in ("secret", "configMap"):
        _files(context, volume)
    elif _is_time_zone(volume):
        _time_zone(context, volume)
    elif volume.kind == "hostPath":
        volume.dropped("the device plug-in of the cluster brings the driver of the GPU")
    else:
        volume.dropped("no key; POD_NAME, POD_IP, TASK_TYPE and TASK_INDEX are in the environment")


def _shared_memory(context: Context, volume: Volume) -> None:
    for each in volume.roles:
        target = context.target(each)
        limit = volume.source.child("sizeLimit").value if volume.kind == "emptyDir" else None
        memory = each.container.at("resources", "limits", "memory").value or context.answers.memory
        size = limit or memory
        if size:
            context.draft.set(target, "shm", value=str(size))
        else:
            context.draft.ask(target, "shm", question="how much shared memory does a task use?")
    bounded = volume.source.child("sizeLimit").value if volume.kind == "emptyDir" else None
    volume.settle("ROLE.shm", "" if bounded else "its limit is that of the memory, of which it is a part")


def _scratch(context: Context, volume: Volume) -> None:
    if volume.at == "/tmp":  # noqa: S108 - the path of a mount
        volume.settle("", "the chart has an empty /tmp in every task")
        return
    item = _append(context, volume)
    limit = volume.source.child("sizeLimit").value
    if limit:
        context.draft.set(*item, "scratch", value=str(limit))
    else:
        context.draft.ask(*item, "scratch", question=f"how much does a task write below {volume.at}?")
    memory = volume.source.child("medium").value == "Memory"
    volume.settle("mounts", f"{_EVERY}; {'on the disk of the node, not in memory; ' if memory else ''}it has a limit")


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
        volume.settle("serviceAccountName", "workload identity instead of a key of a cloud in every pod")
        return
    item = _append(context, volume)
    context.draft.set(*item, volume.kind, value=name.text())
    items = volume.source.child("items").items()
    if volume.folder or any(each.child("key").value != each.child("path").value for each in items):
        what = f"the file {volume.folder}" if volume.folder else "files of other names"
        question = f"in which folder does the program find all keys of {name.text()} (it mounted {what})?"
        context.draft.ask(*item, "at", question=question)
    volume.settle("mounts", f"{_EVERY}; all keys as files, read-only, with mode 0440")


def _time_zone(context: Context, volume: Volume) -> None:
    if zone := _ZONE.fullmatch(volume.host_path):
        context.draft.append("env", {"name": "TZ", "value": zone[1]})
        volume.settle("env", f"TZ={zone[1]} instead of a file of the node")
    else:
        volume.dropped("a file of the node; set TZ in env for another time zone than UTC")


def _storage(context: Context, shares: list[Volume]) -> Volume | None:
    """Return the volume that the run writes to. With several, the user has to choose."""
    if context.answers.storage:
        named = [each for each in shares if context.answers.storage in (each.claim, each.at)]
        return named[0] if named else None
    writable = [each for each in shares if not each.is_read_only]
    results = [each for each in writable if not _is_data(each)] or writable
    return results[0] if results else None


def _is_data(volume: Volume) -> bool:
    return volume.is_read_only or bool(_DATA.search(volume.claim) or _DATA.search(volume.at))


def _data(shares: list[Volume], storage: Volume | None) -> Volume | None:
    others = [each for each in shares if each is not storage]
    return next((each for each in others if _is_data(each)), None)


def _claim_of(context: Context, volume: Volume, key: Key) -> str:
    """Set the claim of a volume, or ask for it; return how the volume differs."""
    if volume.claim:
        context.draft.set(*key, value=volume.claim)
        return ""
    if volume.kind == "volumeClaim":
        size = volume.source.at("resources", "requests", "storage").value
        if key == ("storage", "claim") and isinstance(size, str):
            context.draft.set("storage", "create", "size", value=size)
            return "a claim of this size that the run creates"
    path = volume.source.child("path").value if volume.kind == "hostPath" else volume.source.value
    question = f"which claim has the content of the {volume.kind} volume at {volume.at}?"
    context.draft.ask(*key, question=question, hints=(f"It was {shown(path)}.",))
    return f"a claim instead of {volume.kind}, which no quota and no review covers"


def _set_storage(context: Context, volume: Volume, shares: list[Volume]) -> None:
    why = _claim_of(context, volume, ("storage", "claim"))
    others = sorted({each.claim for each in shares if not _is_data(each)} - {volume.claim, ""})
    if others and not context.answers.storage:
        names = " or ".join([volume.claim, *others])
        hint = "Another one: import again with --storage CLAIM, because the other claims are read-only mounts."
        context.draft.ask("storage", "claim", question=f"which claim does the run write to: {names}?", hints=(hint,))
    context.keeps_paths = True
    _set_place(context, volume, "storage")
    reasons = [why, "" if len(volume.roles) == len(context.replicas) else _EVERY, _folder_words(volume)]
    text = "; ".join(each for each in reasons if each)
    volume.settle("storage", text or "the claim stays at its path", changed=bool(text))


def _folder_words(volume: Volume) -> str:
    return f"the whole claim at {volume.at}, so the folder {volume.folder} is below it" if volume.folder else ""


def _set_place(context: Context, volume: Volume, block: str) -> None:
    """Set the mount point of storage or data, unless it is that of the chart."""
    default = {"storage": "/runs", "data": "/data"}[block]
    if _place(context, volume, (block, "at"), default) == default:
        del context.draft.values[block]["at"]


def _set_data(context: Context, volume: Volume) -> None:
    why = _claim_of(context, volume, ("data", "claim"))
    _set_place(context, volume, "data")
    reasons = [why, _folder_words(volume), "" if volume.is_read_only else "read-only: results belong to storage"]
    text = "; ".join(each for each in reasons if each)
    volume.settle("data", text, changed=bool(text))


def _mount(context: Context, volume: Volume) -> None:
    item = _append(context, volume)
    why = _claim_of(context, volume, (*item, "claim"))
    if volume.folder:
        context.draft.set(*item, "folder", value=volume.folder)
    reasons = [why, "" if volume.is_read_only else "read-only: a run writes to one claim", _EVERY]
    volume.settle("mounts", "; ".join(each for each in reasons if each))


def _append(context: Context, volume: Volume) -> Key:
    """Append an item to mounts at the place of a volume, or at another one where that is impossible."""
    item = context.draft.append("mounts", {})
    _place(context, volume, (*item, "at"), f"/mounts/{volume.at.rpartition('/')[2] or 'root'}")
    return item


def _place(context: Context, volume: Volume, key: Key, other: str) -> str:
    """Set the mount point of a volume, and return it.

    A place of the chart, of the system, or inside of another mount is impossible. There `other` is the mount point.
    """
    at = volume.at
    inside = any(f"{at}/".startswith(f"{place}/") or f"{place}/".startswith(f"{at}/") for place in context.places)
    new = other if inside or _TAKEN.fullmatch(at) or not _PATH.fullmatch(at) else at
    context.places.append(new)
    context.draft.set(*key, value=new)
    full = f"{new}/{volume.folder}" if volume.folder and key[0] != "mounts" else new
    if full != at:
        context.moved.append(Move(at, full, key))
    return new


def without_storage(context: Context) -> None:
    """Set the storage of a run whose manifest has none, by what its program writes to."""
    draft = context.draft
    if draft.get("storage") is not None:
        return
    if context.answers.storage:
        draft.set("storage", "claim", value=context.answers.storage)
        context.ledger.note("storage.claim", "the manifest has no volume; the claim is that of --storage")
        return
    if why := _shared_file(context):
        draft.ask("storage", "claim", question="which claim do all tasks of the run share?")
        context.ledger.note("storage.claim", f"the manifest has no volume, and the run needs one: {why}")
        return
    words = [*(draft.get("command") or []), *(draft.get("args") or [])]
    bucket = next(
        (found[0] for word in words if (found := re.search(r"gs://[a-z0-9][\w.-]+(?:/[^/\s$\"',;]+)*", word))), ""
    )
    if bucket:
        draft.set("storage", "uri", value=str(PurePosixPath(bucket)).replace("gs:/", "gs://", 1))
        context.ledger.note("storage.uri", "the bucket in the arguments is the storage of the run")
    else:
        draft.set("storage", "ephemeral", value=True)
        context.ledger.note(
            "storage.ephemeral", "the manifest has no volume: what the program writes is lost with the pod"
        )


def _shared_file(context: Context) -> str:
    """Return why the tasks of the run need a volume that they share; nothing if they need none."""
    draft = context.draft
    if draft.get("strategy") == "ParameterServer":
        return "a file in it ends the tasks with their leader"
    if draft.get("evaluator"):
        return "the evaluator reads the checkpoints"
    several = draft.get("strategy") == "MultiWorkerMirrored" and draft.get("worker", "replicas") != 1
    return "a run without `command` keeps its checkpoints there" if several and not draft.get("command") else ""
