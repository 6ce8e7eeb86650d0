"""What an import prints: what is left to do, and what became of each field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tfd.importing.context import Context
from tfd.importing.job_file import Result
from tfd.importing.ledger import FATES, Line
from tfd.jobfile.helm_yaml import Key
from tfd.text import dotted

_TITLES = {"same": "The same", "changed": "Changed", "dropped": "Dropped"}


def lines(result: Result) -> Iterator[str]:
    """Yield the report as lines of text. Fields that the operator wrote are only counted."""
    open_questions = result.questions
    state = "refused by the chart" if result.problems else "complete"
    state = f"{len(open_questions)} TODO left" if open_questions else state
    yield f"{result.path}: {'written' if result.is_written else 'not written'}, {state}."
    if open_questions:
        yield "\nTODO"
        yield from (f"  {dotted(each.key)}: {each.text}" for each in open_questions)
    if result.problems:
        yield "\nRefused by the chart"
        yield from (f"  {each}" for each in result.problems)
    for fate in FATES:
        found = [line for line in result.context.ledger.lines if line.fate == fate and not line.noise]
        if found:
            yield f"\n{_TITLES[fate]}"
            yield from (f"  {text}" for text in _grouped(result.context, found))
    noise = sum(line.noise for line in result.context.ledger.lines)
    if noise:
        yield f"  {noise} empty fields, or fields that the operator or Kubernetes wrote (--json lists them)"


def as_json(result: Result) -> dict[str, Any]:
    """Return the report for programs."""
    ledger = result.context.ledger
    metadata = result.context.manifest.root.child("metadata")
    return {
        "path": str(result.path),
        "written": result.is_written,
        "source": {
            "apiVersion": result.context.manifest.version,
            "kind": result.context.manifest.kind,
            "name": metadata.child("name").value,
        },
        "todo": [{"key": dotted(each.key), "question": each.text} for each in result.questions],
        "problems": list(result.problems),
        **{fate: [_line_as_json(line) for line in ledger.lines if line.fate == fate] for fate in FATES},
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    return {"field": dotted(line.path), "key": line.key, "why": line.why, "noise": line.noise}


def _grouped(context: Context, found: list[Line]) -> Iterator[str]:
    """Yield one text for lines that differ by the role, or by the last name of the field, only."""
    by_role: dict[tuple[Key, str, str], list[str]] = {}
    for line in found:
        role, rest = _split(context, line.path)
        by_role.setdefault((rest, line.key, line.why), []).append(role)
    groups: dict[tuple[Key, str, str, tuple[str, ...]], list[str | int]] = {}
    for (rest, key, why), found_roles in by_role.items():
        group = (rest[:-1], key, why, tuple(dict.fromkeys(found_roles)))
        groups.setdefault(group, []).extend(rest[-1:])
    for (parent, key, why, roles), names in groups.items():
        last = names[0] if len(names) == 1 else f"{{{','.join(map(str, names))}}}"
        place = ".".join(part for part in (_set_of(roles), _short((*parent, last)) if names else "") if part)
        target = f" -> {key}" if key and place else key
        yield f"{place}{target}{f': {why}' if why else ''}"


def _set_of(names: tuple[str, ...]) -> str:
    return f"{{{','.join(names)}}}" if len(names) > 1 else names[0]


def _short(key: Key) -> str:
    """Return a field of a role without the blocks around every one of them."""
    text = dotted(key)
    text = re.sub(r"\.\{([\d,]+)\}$", r"[\1]", text)
    return re.sub(r"^template\.spec\.containers\[\d+\]", "container", text).replace("template.spec", "pod", 1)


def _split(context: Context, path: Key) -> tuple[str, Key]:
    """Return the name of the role, and the rest of the path."""
    for each in context.manifest.replicas:
        length = len(each.block.path)
        if path[:length] == each.block.path and len(path) > length:
            return each.name, path[length:]
    return "", path
