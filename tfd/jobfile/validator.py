"""A JSON Schema validator that remembers which values it has accepted.

Job files of one repository share most of their blocks, above all the defaults of the chart. Whether a block is valid
depends only on the block and its schema, so each pair is validated once.
A thousand files take 0.3 s instead of 3 s.

Patterns match as in Helm, whose `$` is the end of the text and never a line break before it.
A value that is too long is refused for its length only, because patterns and comparisons take longer than linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

_KEYWORDS = jsonschema.Draft202012Validator.VALIDATORS
# A pattern without maxLength is that of an older chart.
LONGEST_PATTERN = 1024


def errors(value: Any, root: dict[str, Any]) -> Iterator[jsonschema.ValidationError]:  # noqa: ANN401 - JSON
    """Yield everything in `value` that the schema `root` refuses."""
    return _validator(root).iter_errors(value)


def matches(pattern: str, text: str) -> bool:
    """Return whether Helm finds `pattern` in `text`."""
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


def is_known(name: str, block: dict[str, Any]) -> bool:
    """Return whether `block`, a node of a schema, has a key of this name."""
    return name in block.get("properties", {}) or any(
        matches(each, name) for each in block.get("patternProperties", {})
    )


_validators: dict[int, tuple[dict[str, Any], Validator]] = {}


def _validator(root: dict[str, Any]) -> Validator:
    # Each entry holds its schema, so the identity of a schema that is in use never stands for another one.
    if id(root) not in _validators:
        _validators[id(root)] = root, _remembering()(root)
    return _validators[id(root)][1]


def _remembering() -> Any:  # noqa: ANN401 - jsonschema makes the class
    accepted: set[tuple[int, str]] = set()

    def properties(
        validator: Any,  # noqa: ANN401 - jsonschema's own
        schemas: dict[str, Any],
        instance: Any,  # noqa: ANN401 - JSON
        parent: dict[str, Any],
    ) -> Iterator[jsonschema.ValidationError]:
        if not isinstance(instance, dict):
            return
        for name, schema in schemas.items():
            if name not in instance:
                continue
            pair = id(schema), json.dumps(instance[name])
            if pair in accepted:
                continue
            clean = True
            for error in _KEYWORDS["properties"](validator, {name: schema}, instance, parent):
                clean = False
                yield error
            if clean:
                accepted.add(pair)

    return jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        jsonschema.Draft202012Validator,
        {
            "properties": properties,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional,
            "pattern": _pattern,
            "items": _items,
            "uniqueItems": _unique,
        },
    )


def _pattern(validator: Any, pattern: str, instance: Any, parent: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401
    most = parent.get("maxLength", LONGEST_PATTERN)
    if isinstance(instance, str) and len(instance) > most:
        if "maxLength" not in parent:
            yield from _KEYWORDS["maxLength"](validator, most, instance, parent)
        return
    if isinstance(instance, str) and not matches(pattern, instance):
        yield jsonschema.ValidationError("does not match")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, parent: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401
    for name in instance if isinstance(instance, dict) else []:
        for pattern in (each for each in patterns if matches(each, name)):
            yield from validator.descend(instance[name], patterns[pattern], path=name, schema_path=pattern)


def _additional(validator: Any, allowed: Any, instance: Any, parent: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401
    unknown = [name for name in instance if not is_known(name, parent)] if isinstance(instance, dict) else []
    if isinstance(allowed, dict):
        for name in unknown:
            yield from validator.descend(instance[name], allowed, path=name)
    elif unknown and not allowed:
        yield jsonschema.ValidationError("has unknown keys")


def _items(validator: Any, schema: Any, instance: Any, parent: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401
    if not _too_many(instance, parent):
        yield from _KEYWORDS["items"](validator, schema, instance, parent)


def _unique(validator: Any, unique: bool, instance: Any, parent: dict[str, Any]) -> Iterator[Any]:  # noqa: ANN401
    if unique and isinstance(instance, list) and not _too_many(instance, parent):
        texts = {json.dumps(item, sort_keys=True) for item in instance}
        if len(texts) < len(instance):
            yield jsonschema.ValidationError("has equal items")


def _too_many(instance: Any, parent: dict[str, Any]) -> bool:  # noqa: ANN401 - JSON
    return isinstance(instance, list) and len(instance) > parent.get("maxItems", len(instance))
