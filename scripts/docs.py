"""Write what is generated from the schemas and the defaults of the charts, or check that it is not stale.

Usage: python scripts/docs.py [--check]

charts/*/README.md: the table of keys, from the schema and the defaults in values.yaml.
charts/*/values.yaml: the comments that begin with `# --`, from the descriptions in the schema.
charts/*/templates/rules/_defaults.tpl: the keys with a default, because no template can read values.yaml.
charts/workbench/templates: copies of the templates that both charts have.
monitoring/prometheusrule.yaml: the alert rules of monitoring/rules.yaml for the operator of Prometheus.
README.md and docs/reference/exit-codes.md: the tables of exit codes, from trainer/runtime/exit_codes.json.
docs/reference/command-line.md: the commands with their options, from the parsers.
docs/reference/messages.md: the rules between keys of a job file, and the messages of tfd, the review and the trainer.
The picture of a card is one of tests/golden/review; scripts/card_picture.py draws it.
"""

import json
import sys
import textwrap
from pathlib import Path

import message_docs
from chart_docs import cell, default_keys, table, values_yaml
from cli_docs import command_line

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CHART = ROOT / "charts" / "tf-distributed"
WORKBENCH = ROOT / "charts" / "workbench"
# Helm has no link between two charts that works in a package and in Argo CD alike.
SHARED = (
    "_egress.tpl",
    "_quantities.tpl",
    "_resources.tpl",
    "_security.tpl",
    "rules/_block.tpl",
    "rules/_egress.tpl",
    "rules/_messages.tpl",
    "rules/_release.tpl",
)
RULES = ROOT / "monitoring" / "rules.yaml"
PROMETHEUS_RULE = RULES.with_name("prometheusrule.yaml")
EXIT_CODES = ROOT / "trainer" / "runtime" / "exit_codes.json"
EXIT_CODE_TABLES = {
    README: ("code", "meaning", "retried"),
    ROOT / "docs" / "reference" / "exit-codes.md": ("code", "name", "meaning", "retried", "next step"),
}
COMMAND_LINE = ROOT / "docs" / "reference" / "command-line.md"
MESSAGES = ROOT / "docs" / "reference" / "messages.md"
CARD = ROOT / "tests" / "golden" / "review" / "new-run.md"
PICTURE = ROOT / "docs" / "review-card.png"
PICTURED = PICTURE.with_suffix(".md")


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


def marked(path: Path, name: str, new: str) -> str:
    """Return the text of a Markdown page with the part called `name` replaced."""
    return replaced(path, f"<!-- {name}: made by `make docs` -->", f"\n\n{new}\n\n", f"<!-- /{name} -->")


def messages() -> str:
    """Return the page of the messages."""
    parts = {
        "rules of the job file": message_docs.rules(),
        "refusals of tfd": message_docs.tool_refusals(),
        "sentences of the review": message_docs.findings(),
        "refusals of the trainer": message_docs.refusals(),
        "other messages": message_docs.endings(),
    }
    return "\n\n".join(f"## {name.capitalize()}\n\n{table}" for name, table in parts.items())


def of_chart(chart: Path) -> dict[Path, str]:
    """Return the text of each file of a chart with a generated part."""
    readme, keys = chart / "README.md", chart / "templates" / "rules" / "_defaults.tpl"
    return {
        readme: marked(readme, "keys", table(chart)),
        chart / "values.yaml": values_yaml(chart),
        keys: replaced(keys, 'define "tf-distributed.defaultKeys" -}}\n', default_keys(chart), "\n{{- end }}"),
    }


def generated() -> dict[Path, str]:
    """Return the text of each file with a generated part."""
    found = {PROMETHEUS_RULE: prometheus_rule()}
    for chart in (CHART, WORKBENCH):
        found |= of_chart(chart)
    for name in SHARED:
        found[WORKBENCH / "templates" / name] = (CHART / "templates" / name).read_text(encoding="utf-8")
    found[COMMAND_LINE] = marked(COMMAND_LINE, "commands", command_line())
    found[MESSAGES] = marked(MESSAGES, "messages", messages())
    return found | {page: marked(page, "exit codes", exit_codes(*fields)) for page, fields in EXIT_CODE_TABLES.items()}


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
