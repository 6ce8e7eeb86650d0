"""The generated parts of a chart: its table of keys, the comments in values.yaml and the list of its defaults."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfd.jobfile.schema import defaults, schema
from tfd.text import dotted

MISSING = object()
SHORT = 40  # a longer pattern is for programs; the description states it in words


def resolved(node: dict[str, Any], chart: Path) -> dict[str, Any]:
    """Return `node` with its in-file `$ref` replaced by the definition; its own words win."""
    if "$ref" not in node:
        return node
    definition = schema(chart)["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**resolved(definition, chart), **node}


def rows(
    node: dict[str, Any], chart: Path, key: tuple[str, ...] = (), inherited: str = ""
) -> Iterator[tuple[str, ...]]:
    """Yield key, class, default, limits and description of every key below `node` that a file may hold."""
    for name, child in node.get("properties", {}).items():
        full = resolved(child, chart)
        path, kind = (*key, name), full.get("x-class", inherited)
        if "properties" in full and "limits" not in full["properties"]:
            if key == () and "description" in full:
                yield f"**{name}**", "", "", "", full["description"]
            yield from rows(full, chart, path, kind)
        else:
            yield f"`{dotted(path)}`", kind, default_of(path, chart), limits_of(full), full.get("description", "")


def default_of(path: tuple[str, ...], chart: Path) -> str:
    """Return the chart's default as JSON in code marks, or nothing where a key is unset."""
    value: Any = defaults(chart)
    for name in path:
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return "" if value is MISSING else f"`{json.dumps(value)}`"


def limits_of(node: dict[str, Any]) -> str:
    """Return what the schema allows, in a few words."""
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    parts = []
    if "minimum" in node:
        parts.append(f"{node['minimum']} to {node['maximum']:,}" if "maximum" in node else f"from {node['minimum']}")
    if len(node.get("pattern", "")) in range(1, SHORT):
        parts.append(f"`{node['pattern']}`")
    if "maxLength" in node:
        parts.append(f"at most {node['maxLength']} characters")
    return ", ".join(parts) or str(node.get("type", ""))


def cell(text: str) -> str:
    """Escape what would end a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(chart: Path) -> str:
    """Return the table of values as Markdown."""
    lines = ["| key | class | default | allowed | description |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows(schema(chart), chart)]
    return "\n".join(lines)


def described(path: tuple[str, ...], chart: Path) -> str:
    """Return the description of a key."""
    node = schema(chart)
    for name in path:
        node = resolved(node["properties"][name], chart)
    description: str = node["description"]
    return description


def values_yaml(chart: Path) -> str:
    """Return values.yaml with the description of the next key after each `# --`; a key may be a comment itself."""
    lines = (chart / "values.yaml").read_text(encoding="utf-8").splitlines()
    block: list[str] = []
    for number, line in enumerate(lines):
        if found := re.match(r"( *)(?:# )?(\w+):", line):
            block = [*block[: len(found[1]) // 2], found[2]]
            if mark := re.match(r" *# --", lines[number - 1]):
                lines[number - 1] = f"{mark[0]} {described(tuple(block), chart)}"
    return "\n".join(lines) + "\n"


def default_keys(chart: Path) -> str:
    """Return the keys with a default as JSON, one block per line. A file may remove the quantities of resources."""
    values = defaults(chart)
    blocks = {"": list(values)}
    blocks |= {name: list(value) for name, value in values.items() if isinstance(value, dict) and value}
    blocks.pop("resources", None)
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(keys)}" for name, keys in blocks.items()) + "\n}"
