"""One reader for the JSON files of a run directory.

Other runs may write to the same storage, so a file may contain anything. A file that is not what this program writes
counts as absent, and the log names it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, TypeAlias, get_args

from trainer.runtime.logs import log
from trainer.runtime.types import Json
from trainer.storage import files

_DEEPEST: Final = 20

Kind: TypeAlias = "type | UnionType | Mapping[str, Kind]"
Shape: TypeAlias = Mapping[str, Kind]
"""The known fields of an object: the type of each, or the shape of an object in it. A field of the file may be missing
or null; a field of an object in it only if its type allows None."""

RUN_RECORD: Final[Shape] = {"run": str, "hash": str}
DONE: Final[Shape] = {"run": str, "hash": str, "step": int, "metrics": {}}
STATUS: Final[Shape] = {
    "state": str,
    "exitCode": int,
    "step": int,
    "lastCheckpoint": {"step": int, "path": str, "time": str | None},
    "restarts": int,
    "message": str,
    "updated": str,
}
EVALUATION: Final[Shape] = {
    "best": {"step": int, "metric": str, "value": float | None, "path": str | None},
    "last": {"step": int, "metrics": {}},
    "sinceBest": int,
    "stop": {"step": int, "reason": str},
}
LEASE: Final[Shape] = {"token": str, "host": str, "pid": int, "beat": int}


def read(path: str, shape: Shape) -> dict[str, Any] | None:
    """Return the JSON object in the file at `path`; None if there is none of this shape."""
    text = files.read_text(path)
    if text is None:
        return None
    found = parse(text, shape)
    if found is None:
        _tell(path)
    return found


def parse(text: str, shape: Shape) -> dict[str, Any] | None:
    """Return the JSON object in `text`, None if `text` is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or _depth(value) > _DEEPEST or not _matches(value, shape):
        return None
    return _printable(value, shape)


@functools.cache  # Some files are read every second.
def _tell(path: str) -> None:
    log.info("%s is not a file of the trainer and counts as absent", path)


def _depth(value: Json) -> int:
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        depth += 1
        below = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [part for parts in below for part in parts]
    return depth


def _matches(value: dict[str, Any], shape: Shape) -> bool:
    return all(value.get(name) is None or _is(value[name], kind) for name, kind in shape.items())


def _printable(value: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Return `value` without control characters in its known texts, because the log shows them."""
    known: dict[str, Any] = {}
    for name, kind in shape.items():
        found = value.get(name)
        if isinstance(found, str):
            known[name] = "".join(each if each.isprintable() else " " for each in found)
        elif isinstance(found, dict) and isinstance(kind, Mapping):
            known[name] = _printable(found, kind)
    return {**value, **known}


def _is(value: Json, kind: Kind) -> bool:
    if isinstance(kind, Mapping):
        return isinstance(value, dict) and all(_is(value.get(name), part) for name, part in kind.items())
    if isinstance(kind, UnionType):
        return value is None or _is(value, get_args(kind)[0])
    if kind is str:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and (kind is float or (isinstance(value, int) and value >= 0))
