"""Write what is generated from the schema and the defaults of the chart, or check that it is not stale.

Usage: python scripts/docs.py [--check]

charts/tf-distributed/README.md: the table of keys, from the schema and the defaults in values.yaml.
charts/tf-distributed/values.yaml: the comments that begin with `# --`, from the descriptions in the schema.
charts/tf-distributed/templates/rules/_defaults.tpl: the keys with a default, because no template can read values.yaml.
monitoring/prometheusrule.yaml: the alert rules of monitoring/rules.yaml for the operator of Prometheus.
README.md and docs/reference/exit-codes.md: the tables of exit codes, from trainer/runtime/exit_codes.json.
The picture of a card is one of tests/golden/review; scripts/card_picture.py draws it.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfd.jobfile.schema import defaults, schema
from tfd.text import dotted

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CHART = ROOT / "charts" / "tf-distributed"
DEFAULT_KEYS = CHART / "templates" / "rules" / "_defaults.tpl"
RULES = ROOT / "monitoring" / "rules.yaml"
PROMETHEUS_RULE = RULES.with_name("prometheusrule.yaml")
EXIT_CODES = ROOT / "trainer" / "runtime" / "exit_codes.json"
EXIT_CODE_TABLES = {
    README: ("code", "meaning", "retried"),
    ROOT / "docs" / "reference" / "exit-codes.md": ("code", "name", "meaning", "retried", "next step"),
}
CARD = ROOT / "tests" / "golden" / "review" / "new-run.md"
PICTURE = ROOT / "docs" / "review-card.png"
PICTURED = PICTURE.with_suffix(".md")
MISSING = object()
SHORT = 40  # a longer pattern is for programs; the description states it in words


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return `node` with its in-file `$ref` replaced by the definition; its own words win."""
    if "$ref" not in node:
        return node
    definition = schema()["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**resolved(definition), **node}


def rows(node: dict[str, Any], key: tuple[str, ...] = (), inherited: str = "") -> Iterator[tuple[str, ...]]:
    """Yield key, class, default, limits and description of every key below `node` that a job file may hold."""
    for name, child in node.get("properties", {}).items():
        full = resolved(child)
        path, kind = (*key, name), full.get("x-class", inherited)
        if "properties" in full and "limits" not in full["properties"]:
            if key == () and "description" in full:
                yield f"**{name}**", "", "", "", full["description"]
            yield from rows(full, path, kind)
        else:
            yield f"`{dotted(path)}`", kind, default_of(path), limits_of(full), full.get("description", "")


def default_of(path: tuple[str, ...]) -> str:
    """Return the chart's default as JSON in code marks, or nothing where a key is unset."""
    value: Any = defaults()
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


def table() -> str:
    """Return the table of values as Markdown."""
    lines = ["| key | class | default | allowed | description |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows(schema())]
    return "\n".join(lines)


def described(path: tuple[str, ...]) -> str:
    """Return the description of a key."""
    node = schema()
    for name in path:
        node = resolved(node["properties"][name])
    description: str = node["description"]
    return description


def values_yaml(text: str) -> str:
    """Return values.yaml with the description of the next key after each `# --`; a key may be a comment itself."""
    lines = text.splitlines()
    block: list[str] = []
    for number, line in enumerate(lines):
        if found := re.match(r"( *)(?:# )?(\w+):", line):
            block = [*block[: len(found[1]) // 2], found[2]]
            if mark := re.match(r" *# --", lines[number - 1]):
                lines[number - 1] = f"{mark[0]} {described(tuple(block))}"
    return "\n".join(lines) + "\n"


def default_keys() -> str:
    """Return the keys with a default as JSON, one block per line. A job file may remove the quantities of resources."""
    blocks = {"": list(defaults())}
    blocks |= {name: list(value) for name, value in defaults().items() if isinstance(value, dict) and value}
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(keys)}" for name, keys in blocks.items()) + "\n}"


def prometheus_rule() -> str:
    """Return the alert rules as an object of the operator of Prometheus."""
    _, begin, groups = RULES.read_text(encoding="utf-8").partition("groups:\n")
    head = f"# Generated from {RULES.name} by `make docs`. Apply it to a namespace whose rules the operator reads.\n"
    head += "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: tf-distributed}\nspec:\n"
    return head + textwrap.indent(begin + groups, "  ")


def exit_codes(*fields: str) -> str:
    """Return the given fields of all exit codes as a Markdown table."""
    lines = ["| " + " | ".join(fields) + " |", "| " + " | ".join("---" for _ in fields) + " |"]
    for each in json.loads(EXIT_CODES.read_text(encoding="utf-8")):
        each["retried"] = "yes" if each["retried"] else "no"
        each["next step"] = each.pop("next")
        lines.append("| " + " | ".join(cell(str(each[field])) for field in fields) + " |")
    return "\n".join(lines)


def card() -> str:
    """Return the review comment that the README shows."""
    return CARD.read_text(encoding="utf-8").removesuffix("exit code 0\n")


def replaced(path: Path, begin: str, new: str, end: str) -> str:
    """Return the text of a file with what stands between two marks replaced."""
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        sys.exit(f"{path}: the mark {begin!r} or {end!r} is missing. Restore both marks.")
    return f"{before}{begin}{new}{end}{after}"


def generated() -> dict[Path, str]:
    """Return the text of each file with a generated part."""
    chart_readme = CHART / "README.md"
    return {
        chart_readme: replaced(
            chart_readme, "<!-- keys: made by `make docs` -->", f"\n\n{table()}\n\n", "<!-- /keys -->"
        ),
        CHART / "values.yaml": values_yaml((CHART / "values.yaml").read_text(encoding="utf-8")),
        DEFAULT_KEYS: replaced(
            DEFAULT_KEYS, 'define "tf-distributed.defaultKeys" -}}\n', default_keys(), "\n{{- end }}"
        ),
        PROMETHEUS_RULE: prometheus_rule(),
    } | {
        page: replaced(
            page, "<!-- exit codes: made by `make docs` -->", f"\n\n{exit_codes(*fields)}\n\n", "<!-- /exit codes -->"
        )
        for page, fields in EXIT_CODE_TABLES.items()
    }


def main(arguments: list[str]) -> int:
    """Write the files unless --check is given; return 1 when one of them, or the picture, is stale."""
    stale = PICTURED.read_text(encoding="utf-8") != card()
    if stale:
        print(f"{PICTURE} shows an older card than {CARD}. Run scripts/card_picture.py.", file=sys.stderr)
    for path, text in generated().items():
        if text == path.read_text(encoding="utf-8"):
            continue
        if arguments == ["--check"]:
            print(f"{path} is stale. Run `make docs` and commit the result.", file=sys.stderr)
            stale = True
        else:
            path.write_text(text, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
