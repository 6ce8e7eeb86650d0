"""Mount points of a run: those of the manifest, unless the chart or the system has something there."""

from __future__ import annotations

import re

from tfd.importing.context import Context, Move
from tfd.importing.paths import is_within
from tfd.importing.volumes import Volume
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.schema import schema

# Places of the chart and of the system, where no volume of the user can be.
_TAKEN = re.compile(r"/(tmp|code|dev|etc|proc|sys|run|var/run)?(/.*)?")


def append(context: Context, volume: Volume) -> Key:
    """Append an item to mounts at the place of a volume, or at another one where that is impossible."""
    item = context.draft.append("mounts", {})
    place(context, volume, (*item, "at"), f"/mounts/{volume.at.rpartition('/')[2] or 'root'}")
    return item


def place(context: Context, volume: Volume, key: Key, other: str) -> str:
    """Set the mount point of a volume, and return it.

    A place of the chart, of the system, or inside of another mount is impossible. There `other` is the mount point.
    """
    at = volume.at
    taken = at in context.places
    inside = any(is_within(at, used) or is_within(used, at) for used in context.places)
    new = other if inside or _TAKEN.fullmatch(at) or not re.fullmatch(schema()["$defs"]["path"]["pattern"], at) else at
    context.places.append(new)
    context.draft.set(*key, value=new)
    if taken:
        question = f"where does the program find this volume? Another role has another one at {at}."
        context.draft.ask(*key, question=question)
        return new
    full = f"{new}/{volume.folder}" if volume.folder and key[0] != "mounts" else new
    if full != at:
        context.moved.append(Move(at, full, key))
    return new
