"""Changes single values in the text of a job file. Comments and all other lines stay as they are."""

from __future__ import annotations

import json
import re
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Key
from tfd.text import dotted, refusal


class EditError(Exception):
    """The text cannot be changed in this way; the message names the key, the reason and the fix."""


def with_top(text: str, key: str, value: Any) -> str:  # noqa: ANN401 - any value of a job file
    """Return `text` with a top-level key set, or removed when `value` is None.

    Raises:
        EditError: several top-level keys stand on one line.

    """
    positions = helm_yaml.load(text).positions
    if any(column > 1 for place, (_, column) in positions.items() if len(place) == 1):
        fix = "Write each top-level key on a line of its own."
        raise EditError(refusal("file", "several top-level keys on one line", "one key a line", fix))
    tops = sorted(at[0] - 1 for place, at in positions.items() if len(place) == 1)
    # YAML has line breaks besides \n. One in a text is a part of its value, so each line keeps its own.
    lines = (text if text.endswith("\n") else f"{text}\n").splitlines(keepends=True)
    if (key,) not in positions:
        # chartVersion comes first, as in every example; the rest last.
        lines.insert(tops[0] if key == "chartVersion" else len(lines), f"{key}: {_flow(value)}\n")
        return "".join(lines)
    start = positions[(key,)][0] - 1
    end = next((line for line in tops if line > start), len(lines))
    while end > start + 1 and re.fullmatch(r"\s*(#.*)?\s*", lines[end - 1]):
        end -= 1  # blank lines and comments belong to the next key
    comment = re.search(r"\s+#.*$", lines[start]) if end == start + 1 else None
    line = f"{key}: {_flow(value)}{comment[0] if comment else ''}\n"
    lines[start:end] = [] if value is None else [line]
    return "".join(lines)


def with_scalar(text: str, key: Key, written: str) -> str:
    """Return `text` with one value set. Missing mappings above it are added.

    Args:
        text: the job file.
        key: names of mappings, for example ("trainer", "batchSize").
        written: the value as it stands in YAML, for example 1e-3.

    Raises:
        EditError: the value or a mapping above it is a list, an alias, or a text of several lines.

    """
    wanted = _set(helm_yaml.load(text).value, key, helm_yaml.load(written).value)
    spans = helm_yaml.spans(text)
    names = [word(str(name)) for name in key]
    depth = next(depth for depth in range(len(key), -1, -1) if key[:depth] in spans)
    start, end = spans[key[:depth]]
    for name in reversed(names[depth + 1 :]):
        written = f"{{{name}: {written}}}"
    if depth == len(key) or start == end:
        written = written if depth == len(key) else f"{{{names[depth]}: {written}}}"
        gap = "" if text[start - 1 : start].isspace() else " "
        changed = f"{text[:start]}{gap}{written}{text[end:]}"
    elif depth == 0:
        changed = with_top(text, str(key[0]), written)
    elif text[start] == "{":
        rest = text[start + 1 :].lstrip()
        changed = f"{text[: start + 1]}{names[depth]}: {written}{'' if rest[0] == '}' else ', '}{rest}"
    else:
        indent = " " * (start - text.rfind("\n", 0, start) - 1)
        changed = f"{text[:start]}{names[depth]}: {written}\n{indent}{text[start:]}"
    if _value(changed) != wanted:
        found = "a place in a list, an alias, a scalar or a text of several lines"
        fix = "Correct the key, or write the value on one line and without an alias."
        raise EditError(refusal(dotted(key), found, "a place in mappings", fix))
    return changed


def word(text: str) -> str:
    """Return a word as it stands in YAML: in quotes if it means something else without them, as y and no do."""
    return text if helm_yaml.load(text).value == text else json.dumps(text)


def _value(text: str) -> Any:  # noqa: ANN401 - YAML is anything
    try:
        return helm_yaml.load(text).value
    except helm_yaml.YamlError:
        return None


def _set(value: Any, key: Key, wanted: Any) -> Any:  # noqa: ANN401 - YAML is anything
    """Return a copy of a value in which one key is set."""
    changed = dict(value) if isinstance(value, dict) else {}
    changed[key[0]] = _set(changed.get(key[0]), key[1:], wanted) if len(key) > 1 else wanted
    return changed


def _flow(value: Any) -> str:  # noqa: ANN401 - a scalar, or a mapping of one
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {text}' for name, text in value.items())}}}"
    return str(value)
