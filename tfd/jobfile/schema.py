"""The schema of a job file, and its refusals in a user's words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from tfd import assets
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.validator import errors, is_known, matches
from tfd.text import dotted, refusal, shown

# A file with more mistakes than this is not a job file.
MOST_REFUSALS = 50
_LIMITS = frozenset(["maxLength", "maxItems", "maxProperties", "maximum"])


class Refusal(NamedTuple):
    """A key that the schema refuses."""

    key: Key
    message: str
    replacement: Key | None = None
    """The right name of an unknown key, if there is one that the user probably meant."""


@cache
def schema(chart: Path = assets.CHART) -> dict[str, Any]:
    """Return the schema of a job file for `chart`."""
    text = (chart / "values.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text, object_pairs_hook=_limits_first)
    return loaded


def _limits_first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a node of a schema that is validated by its size first."""
    return dict(sorted(pairs, key=lambda pair: pair[0] not in _LIMITS))


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


def schema_errors(values: dict[str, Any], chart: Path = assets.CHART) -> Iterator[Refusal]:
    """Yield what the schema refuses in a job file's `values`, one refusal per key, and at most MOST_REFUSALS."""
    seen: set[Key] = set()
    found = chain(
        _removed_defaults(defaults(chart), values, ()), refusals(merged(defaults(chart), values), schema(chart))
    )
    for each in islice(found, MOST_REFUSALS):
        if each.key not in seen:
            seen.add(each.key)
            yield each


def refusals(value: Any, root: dict[str, Any]) -> Iterator[Refusal]:  # noqa: ANN401 - JSON
    """Yield everything in `value` that the schema `root` refuses."""
    for error in errors(value, root):
        yield from _refused(error, root)


def _refusal(key: Key, got: str, expected: str, fix: str, replacement: Key | None = None) -> Refusal:
    return Refusal(key, refusal(dotted(key) or "file", got, expected, fix), replacement)


def _refused(error: Any, root: dict[str, Any]) -> Iterator[Refusal]:  # noqa: ANN401 - jsonschema's own unions
    """Yield the refusals that one error of the schema stands for."""
    key = tuple(error.absolute_path)
    hint = _hint(error, root)
    if error.validator == "additionalProperties":
        for name in error.instance:
            if not is_known(name, error.schema):
                yield _unknown_key((*key, name), error.schema, hint, root)
    elif "propertyNames" in error.absolute_schema_path:
        yield _refusal((*key, error.instance), f"the name {shown(error.instance)}", _rule(error), hint)
    elif error.validator == "oneOf" and not _has_known_keys(error):
        return  # The wrong type, or the unknown key, has a refusal of its own.
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield _refusal((*key, name), "nothing", _kind(error.schema["properties"][name], root), hint)
    else:
        yield _refusal(key, shown(error.instance), _rule(error), hint)


def _removed_defaults(base: dict[str, Any], values: dict[str, Any], key: Key) -> Iterator[Refusal]:
    """Yield each null that removes a default. A job file may remove a quantity, so that a pod requests none."""
    for name in base.keys() & values.keys():
        if values[name] is None and "resources" not in key:
            fix = f"Remove {dotted((*key, name))} to use the default of the chart."
            yield _refusal((*key, name), "null", "a value", fix)
        elif isinstance(base[name], dict) and isinstance(values[name], dict):
            yield from _removed_defaults(base[name], values[name], (*key, name))


def _has_known_keys(error: Any) -> bool:  # noqa: ANN401 - jsonschema's own unions
    """Return whether what is refused is a block, all of whose keys the schema has."""
    return isinstance(error.instance, dict) and all(is_known(name, error.schema) for name in error.instance)


def _unknown_key(key: Key, block: dict[str, Any], hint: str, root: dict[str, Any]) -> Refusal:
    """Return the refusal of a key that `block`, a node of the schema, does not have."""
    known = list(block.get("properties", {}))
    if new := root.get("x-renamed", {}).get(dotted(key)):
        return _refusal(key, "a renamed key", new, f"Rename it to {new}.", tuple(new.split(".")))
    if "patternProperties" in block:
        return _refusal(key, "an unknown key", "one of the names that the schema allows", hint)
    if place := _meant(key[-1], known, key[:-1], root):
        verb = "Rename" if place[:-1] == key[:-1] else "Move"
        level = "the top-level key " if verb == "Move" and len(place) == 1 else ""
        return _refusal(key, "an unknown key", dotted(place), f"{verb} it to {level}{dotted(place)}.", place)
    if len(key) == 1:  # the list of all keys would hide the rest of the message
        fix = "Remove it, or use a key that values.yaml of the chart lists."
        return _refusal(key, "an unknown key", "a key of the chart", fix)
    return _refusal(key, "an unknown key", f"one of {', '.join(known)}", hint)


def _meant(name: Any, known: list[str], block: Key, root: dict[str, Any]) -> Key | None:  # noqa: ANN401 - str or int
    """Return the one key of this name in another block, else the key of this block with the most similar name."""
    elsewhere = [other for other in _keys(root) if other[-1] == name]
    if len(elsewhere) == 1:
        return elsewhere[0]
    close = difflib.get_close_matches(str(name), known, n=1)
    return (*block, close[0]) if close else None


def _keys(node: dict[str, Any], key: Key = ()) -> Iterator[Key]:
    """Yield all keys of a job file outside lists and outside the blocks that Kubernetes defines."""
    for name, child in node.get("properties", {}).items():
        yield (*key, name)
        yield from _keys(child, (*key, name))


def run_name_error(run: str, chart: Path = assets.CHART) -> str | None:
    """Return the chart's refusal of the name of a run; None for a valid name."""
    rule = schema(chart)["$defs"]["runName"]
    if matches(rule["pattern"], run) and len(run) <= rule["maxLength"]:
        return None
    allowed = f"at most {rule['maxLength']} {rule.get('x-rule') or 'characters that match ' + rule['pattern']}"
    return refusal("release name", shown(run), allowed, "Rename the file: its name is the release name.")


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
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
# What each keyword of a schema allows, as a noun phrase.
_RULES: dict[str, Callable[[Any], str]] = {
    "type": lambda rule: " or ".join(_TYPES[name] for name in ([rule] if isinstance(rule, str) else rule)),
    "enum": lambda rule: f"one of {', '.join(map(shown, rule))}",
    "const": lambda rule: f"{shown(rule)}",
    "minimum": lambda rule: f"{rule} or more",
    "exclusiveMinimum": lambda rule: f"more than {rule}",
    "maximum": lambda rule: f"{rule} or less",
    "pattern": lambda rule: f"a string that matches {rule}",
    "minLength": lambda rule: _count("at least", rule, "character"),
    "maxLength": lambda rule: _count("at most", rule, "character"),
    "minItems": lambda rule: _count("at least", rule, "item"),
    "maxItems": lambda rule: _count("at most", rule, "item"),
    "minProperties": lambda rule: _count("at least", rule, "key"),
    "maxProperties": lambda rule: _count("at most", rule, "key"),
    "not": lambda rule: f"a string that does not match {rule['pattern']}",
    "uniqueItems": lambda rule: "each value once",
}


def _count(bound: str, number: int, noun: str) -> str:
    return f"{bound} {number} {noun}{'s'[: number > 1]}"


def _rule(error: Any) -> str:  # noqa: ANN401 - jsonschema's own unions
    if error.validator in ("minProperties", "maxProperties", "oneOf") and (choice := _choice(error.schema)):
        return choice
    if error.validator == "pattern" and "x-rule" in error.schema:
        return str(error.schema["x-rule"])
    return _RULES[error.validator](error.validator_value)


def _choice(node: dict[str, Any]) -> str:
    """Return the rule of a block that takes exactly one of its keys; nothing for any other block."""
    names = list(node.get("properties", {}))
    if "oneOf" in node:
        names = [name for option in node["oneOf"] for name in option["required"]]
    elif not names or (node.get("minProperties"), node.get("maxProperties")) != (1, 1):
        return ""
    return f"exactly one of {', '.join(names[:-1])} and {names[-1]}"


def _kind(node: dict[str, Any], root: dict[str, Any]) -> str:
    """Return what a missing key expects."""
    full = _definition(node, root)
    if choice := _choice(full):
        return choice
    return next((_RULES[keyword](full[keyword]) for keyword in ("enum", "const", "type") if keyword in full), "a value")


def _hint(error: Any, root: dict[str, Any]) -> str:  # noqa: ANN401 - jsonschema's own unions
    """Return what to set instead: the x-hint of the key, of the definition that it refers to, or of its block."""
    node: Any = root
    hint: str = node["x-hint"]
    # jsonschema leaves $ref out of the path.
    for step in list(error.absolute_schema_path)[:-1]:
        node = _definition(node[step], root)
        hint = node.get("x-hint", hint)
    return hint


def _definition(node: Any, root: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return `node` laid over the definition that it refers to, if it refers to one."""
    if "$ref" not in node:
        return node
    return root["$defs"][node["$ref"].removeprefix("#/$defs/")] | node
