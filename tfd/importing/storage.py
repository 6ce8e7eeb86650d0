"""Claims and shares of a manifest: what a run writes to, its data, and more read-only mounts."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tfd.importing.context import Context, Move
from tfd.importing.local_volumes import is_share, read_local
from tfd.importing.places import append, place
from tfd.importing.volumes import EVERY_TASK, Volume, all_volumes
from tfd.jobfile.helm_yaml import Key
from tfd.text import shown

_DATA = re.compile(r"data|input|corpus|imagenet", re.IGNORECASE)


def read_volumes(context: Context) -> None:
    """Set storage, data, mounts and shared memory, and the paths that have moved.

    Raises:
        RefusedError: each task has a volume of its own.

    """
    volumes = all_volumes(context)
    shares = [each for each in volumes if is_share(each)]
    storage = _storage(context, shares)
    data = _data(shares, storage)
    if storage:
        _set_storage(context, storage, shares)
    if data:
        _set_data(context, data)
    for each in shares:
        if storage and _is_below(each, storage):
            _set_below(context, each, storage)
        elif each not in (storage, data):
            _mount(context, each)
    for each in volumes:
        if each not in shares:
            read_local(context, each)
    _ask_about_cache(context)


def _ask_about_cache(context: Context) -> None:
    """Ask for the claim with the data that KubeDL mounts from a cache."""
    at = context.manifest.spec.child("cacheBackend").child("mountPath").text()
    if at and context.draft.get("data") is None:
        context.draft.ask("data", "claim", question=f"which claim has the data of cacheBackend at {at}?")
        context.draft.set("data", "at", value=at)


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
    others = [each for each in shares if each is not storage and not (storage and _is_below(each, storage))]
    return next((each for each in others if _is_data(each)), None)


def _is_below(volume: Volume, storage: Volume) -> bool:
    """Return whether a volume is another mount of the storage that tasks write to."""
    is_other = volume is not storage and not (volume.is_read_only or _DATA.search(volume.at))
    return is_other and bool(volume.claim) and volume.claim == storage.claim


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
    reasons = [why, "" if len(volume.roles) == len(context.replicas) else EVERY_TASK, _folder_words(volume)]
    text = "; ".join(each for each in reasons if each)
    volume.settle("storage", text or "the claim stays at its path", changed=bool(text))


def _set_below(context: Context, volume: Volume, storage: Volume) -> None:
    """Let the program find a mount of the storage below the mount point of the whole claim."""
    at = context.draft.get("storage", "at") or "/runs"
    new = f"{at}/{volume.folder}".rstrip("/")
    if new != volume.at:
        context.moved.append(Move(volume.at, new, ("storage", "at")))
    volume.settle("storage", f"the same claim as at {storage.at}, which the run mounts once: {volume.at} is at {new}")


def _folder_words(volume: Volume) -> str:
    return f"the whole claim at {volume.at}, so the folder {volume.folder} is below it" if volume.folder else ""


def _set_place(context: Context, volume: Volume, block: str) -> None:
    """Set the mount point of storage or data, unless it is that of the chart."""
    default = {"storage": "/runs", "data": "/data"}[block]
    if place(context, volume, (block, "at"), default) == default:
        del context.draft.values[block]["at"]


def _set_data(context: Context, volume: Volume) -> None:
    why = _claim_of(context, volume, ("data", "claim"))
    _set_place(context, volume, "data")
    reasons = [why, _folder_words(volume), "" if volume.is_read_only else "read-only: results belong to storage"]
    text = "; ".join(each for each in reasons if each)
    volume.settle("data", text, changed=bool(text))


def _mount(context: Context, volume: Volume) -> None:
    item = append(context, volume)
    why = _claim_of(context, volume, (*item, "claim"))
    if volume.folder:
        context.draft.set(*item, "folder", value=volume.folder)
    reasons = [why, "" if volume.is_read_only else "read-only: a run writes to one claim", EVERY_TASK]
    volume.settle("mounts", "; ".join(each for each in reasons if each))


def without_storage(context: Context) -> None:
    """Set the storage of a run whose manifest has none, by what its program writes to."""
    draft = context.draft
    if draft.get("storage") is not None:
        return
    if context.answers.storage:
        draft.set("storage", "claim", value=context.answers.storage)
        context.ledger.note("storage.claim", "the claim is that of --storage")
        return
    if why := _shared_file(context):
        hints = ("Name a PersistentVolumeClaim of the namespace, or set storage: {create: {size: 50Gi}}.",)
        draft.ask("storage", "claim", question="which claim do all tasks of the run share?", hints=hints)
        context.ledger.note("storage.claim", f"the manifest has no volume to write to, and the run needs one: {why}")
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
            "storage.ephemeral", "the manifest has no volume to write to: what the program writes is lost with the pod"
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
