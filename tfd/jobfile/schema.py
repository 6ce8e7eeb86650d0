"""The schema of a job file, and its refusals in a user's words."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.validator import errors

_SHOWN_LENGTH = 80


def dotted(key: Key) -> str:
    """Spell a key as users do: ``env[0].name``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:  # noqa: ANN401 - any value of a job file
    """Show a value of a job file as JSON, short enough for one line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 3]}..."


@cache
def schema(chart: Path = assets.CHART) -> dict[str, Any]:
    """Return the schema of a job file for `chart`."""
    loaded: dict[str, Any] = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    return loaded


@cache
def defaults(chart: Path = assets.CHART) -> dict[str, Any]:
    """Return the default values of `chart`."""
    loaded: dict[str, Any] = helm_yaml.load((chart / "values.yaml").read_text(encoding="utf-8")).value
    return loaded


def merged(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Lay `values` over the defaults as Helm does before it validates: maps merge, null removes a default."""
    result = dict(base)
    for name, value in values.items():
        if value is None and name in base:
            del result[name]
        elif isinstance(value, dict) and isinstance(base.get(name), dict):
            result[name] = merged(base[name], value)
        else:
            result[name] = value
    return result


def schema_errors(values: dict[str, Any], chart: Path = assets.CHART) -> Iterator[tuple[Key, str]]:
    """Yield the key and the message of everything in a job file's `values` that the schema refuses, one per key."""
    told: set[Key] = set()
    for key, message in (
        *_removed_defaults(defaults(chart), values, ()),
        *refusals(merged(defaults(chart), values), schema(chart)),
    ):
        if key not in told:
            told.add(key)
            yield key, message


def refusals(value: Any, root: dict[str, Any]) -> Iterator[tuple[Key, str]]:  # noqa: ANN401 - JSON
    """Yield the key and the message of everything in `value` that the schema `root` refuses."""
    for error in errors(value, root):
        yield from _messages(error, root)


def _messages(error: Any, root: dict[str, Any]) -> Iterator[tuple[Key, str]]:  # noqa: ANN401 - jsonschema's own unions
    key = tuple(error.absolute_path)
    hint = f"; {hint}" if (hint := _hint(error, root)) else ""
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, key, hint, root)
    elif "propertyNames" in error.absolute_schema_path:
        yield (*key, error.instance), f"got this name, but it {_rule(error)}{hint}"
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield (*key, name), f"missing{hint}"
    else:
        yield key, f"got {shown(error.instance)}, but {_rule(error)}{hint}"


def _removed_defaults(base: dict[str, Any], values: dict[str, Any], key: Key) -> Iterator[tuple[Key, str]]:
    """Yield each null that takes a default away: a template would meet nothing. A quantity is free to go."""
    for name in base.keys() & values.keys():
        if values[name] is None and "resources" not in key:
            yield (*key, name), "got null, but it needs a value; remove the key for the chart's default"
        elif isinstance(base[name], dict) and isinstance(values[name], dict):
            yield from _removed_defaults(base[name], values[name], (*key, name))


def _unknown_keys(
    error: Any,  # noqa: ANN401 - jsonschema's own unions
    key: Key,
    hint: str,
    root: dict[str, Any],
) -> Iterator[tuple[Key, str]]:
    known = list(error.schema.get("properties", {}))
    patterns = error.schema.get("patternProperties", {})
    listed = hint if key and hint else f"; known here: {', '.join(known)}"
    for name in error.instance:
        if name not in known and not any(re.search(pattern, name) for pattern in patterns):
            meant = "" if patterns else _renamed((*key, name), root) or _did_you_mean(name, known, key, root)
            yield (*key, name), f"unknown key{meant or listed}"


def _renamed(key: Key, root: dict[str, Any]) -> str:
    """Return what an old key is called now; nothing for any other key."""
    new = root.get("x-renamed", {}).get(dotted(key))
    return f": renamed; set {new}" if new else ""


def _did_you_mean(name: str, known: list[str], key: Key, root: dict[str, Any]) -> str:
    """Return a suggestion: the one key of this name in another block, else the one here that is spelt alike."""
    elsewhere = [other for other in _keys(root) if other[-1] == name]
    if len(elsewhere) == 1:
        top_level = "the top-level key " if key and len(elsewhere[0]) == 1 else ""
        return f": did you mean {top_level}{dotted(elsewhere[0])}?"
    return "".join(f": did you mean {close}?" for close in difflib.get_close_matches(name, known, n=1))


def _keys(node: dict[str, Any], key: Key = ()) -> Iterator[Key]:
    """Yield all keys of a job file that are no list items and no keys of Kubernetes' own blocks."""
    for name, child in node.get("properties", {}).items():
        yield (*key, name)
        yield from _keys(child, (*key, name))


def run_name_error(run: str, chart: Path = assets.CHART) -> str | None:
    """Return what is wrong with the name of a run, in the chart's words; None when nothing is."""
    rule = schema(chart)["$defs"]["runName"]
    if re.search(rule["pattern"], run) and len(run) <= rule["maxLength"]:
        return None
    allowed = f"it must match {rule['pattern']} and have at most {rule['maxLength']} characters"
    return f"release name: got {shown(run)}: {allowed}; set a shorter or plainer file name (release name)"


@cache
def class_of(key: Key, chart: Path = assets.CHART) -> str:
    """Return the x-class of a key: its own, else that of the nearest block around it."""
    node: Any = schema(chart)
    found = ""
    for part in key:
        node = _definition(
            node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {}), schema(chart)
        )
        found = node.get("x-class", found)
    return found


_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string (quote it)",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
# What each keyword of the schema asks for, as the rest of a sentence that begins with "got VALUE, but".
_RULES: dict[str, Callable[[Any], str]] = {
    "type": lambda rule: f"must be {' or '.join(_TYPES[name] for name in ([rule] if isinstance(rule, str) else rule))}",
    "enum": lambda rule: f"must be one of {', '.join(map(str, rule))}",
    "const": lambda rule: f"must be {shown(rule)}",
    "minimum": lambda rule: f"must be at least {rule}",
    "exclusiveMinimum": lambda rule: f"must be more than {rule}",
    "maximum": lambda rule: f"must be at most {rule}",
    "pattern": lambda rule: f"must match {rule}",
    "minLength": lambda rule: f"must have at least {rule} character{'s'[: rule > 1]}",
    "maxLength": lambda rule: f"must have at most {rule} characters",
    "minItems": lambda rule: f"must have at least {rule} item{'s'[: rule > 1]}",
    "maxItems": lambda rule: f"must have at most {rule} items",
    "minProperties": lambda rule: f"must have at least {rule} key{'s'[: rule > 1]}",
    "maxProperties": lambda rule: f"must have at most {rule} key{'s'[: rule > 1]}",
    "not": lambda rule: f"must not match {rule['pattern']}",
    "uniqueItems": lambda rule: "must not repeat a value",
}


def _rule(error: Any) -> str:  # noqa: ANN401 - jsonschema's own unions
    if error.validator in _RULES:
        return _RULES[error.validator](error.validator_value)
    return str(error.message.removeprefix(repr(error.instance)).strip())


def _hint(error: Any, root: dict[str, Any]) -> str:  # noqa: ANN401 - jsonschema's own unions
    """Return what to set instead: the x-hint of the key, of the definition that it refers to, or of its block."""
    node: Any = root
    hint: str = node["x-hint"]
    # jsonschema leaves $ref out of the path.
    for step in list(error.absolute_schema_path)[:-1]:
        node = _definition(node[step], root)
        hint = node.get("x-hint", hint)
    return hint[:1].lower() + hint[1:].removesuffix(".")


def _definition(node: Any, root: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return `node` laid over the definition that it refers to, if it refers to one."""
    if "$ref" not in node:
        return node
    return root["$defs"][node["$ref"].removeprefix("#/$defs/")] | node
