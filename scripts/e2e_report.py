"""Print the results of the last scenarios: outcomes, durations, assertions, timings and figures.

Usage: python scripts/e2e_report.py [--page]

With --page, write the results to docs/contributing/cluster-tests.md instead.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PAGE = ROOT / "docs" / "contributing" / "cluster-tests.md"
COLORS = {"passed": "green", "skipped": "yellow"}
COLORS |= dict.fromkeys(("failed", "error", "interrupted"), "bold red")
NUMBERS = ("seconds", "value")
Found = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A table of the report."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def parts(found: Found) -> list[Part]:
    """Return the tables of the record `found`, without those that have no rows."""
    outcomes = [
        (
            words(name),
            each["outcome"],
            f"{each['seconds']:.0f}",
            "\n".join(filter(None, (each["asserted"], each.get("why")))),
        )
        for name, each in found.items()
    ]
    timings = [("make cluster", name, seconds) for name, seconds in node_ready()]
    timings += [
        (words(name), what, f"{value:.1f}")
        for name, each in found.items()
        for what, value in each.get("timings", {}).items()
    ]
    figures = [
        (words(name), what, value) for name, each in found.items() for what, value in each.get("figures", {}).items()
    ]
    tables = [
        Part(title="scenarios", columns=("scenario", "outcome", "seconds", "asserted"), rows=outcomes),
        Part(title="timings", columns=("scenario", "from ... to", "seconds"), rows=timings),
        Part(title="figures", columns=("scenario", "figure", "value"), rows=figures),
    ]
    return [each for each in tables if each.rows]


def words(name: str) -> str:
    """Return the name of a test as words."""
    return name.replace("_", " ")


def node_ready() -> list[tuple[str, str]]:
    """Return the time from the command to Ready, for each node that was started."""
    log = BUILD / "e2e-up.log"
    text = log.read_text() if log.exists() else ""
    started = re.findall(r"started kubelet of (\S+)", text)
    return [
        (f"command to {node} Ready", seconds)
        for seconds, node in re.findall(r"([\d.]+) s  (\S+) is Ready", text)
        if node in started
    ]


def console_table(part: Part) -> Table:
    """Return `part` for a terminal, in plain text, because rich treats `[chief-0]` in markup as a style."""
    table = Table(title=part.title, title_justify="left", show_lines=part.title == "scenarios")
    for column in part.columns:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    for row in part.rows:
        table.add_row(*(Text(cell, style=COLORS.get(cell, "")) for cell in row))
    return table


def markdown(part: Part) -> str:
    """Return `part` as a section in Markdown, without the column of the assertions."""
    columns = [index for index, column in enumerate(part.columns) if column != "asserted"]

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cells[index].replace("|", r"\|") for index in columns) + " |"

    ruler = "| " + " | ".join("---:" if part.columns[index] in NUMBERS else "---" for index in columns) + " |"
    return "\n".join([f"## {part.title.capitalize()}", "", line(part.columns), ruler, *map(line, part.rows), ""])


def page(found: Found) -> str:
    """Return the page with the results."""
    commits = Counter(str(each.get("commit", "unknown")) for each in found.values())
    counts = ", ".join(f"{count} at commit {name}" for name, count in commits.most_common())
    minutes = sum(each["seconds"] for each in found.values()) / 60
    # A scenario that failed in the whole run is added by scripts/e2e.sh all -k NAME.
    again = " Scenarios at another commit ran again, after a correction." if len(commits) > 1 else ""
    head = f"""\
# Cluster tests

`make e2e` ran these scenarios on a machine with {os.cpu_count()} cores, in {minutes:.0f} minutes: {counts}.{again}
`python scripts/e2e_report.py --page` wrote this page, and `make e2e-report` also shows what each scenario asserts.
The code of the scenarios is in [tests/e2e](../../tests/e2e).
"""
    return "\n".join([head, *map(markdown, parts(found))])


@click.command(help=__doc__)
@click.option("--page", "as_page", is_flag=True, help="Write the results to docs/contributing/cluster-tests.md.")
def main(as_page: bool) -> None:
    """Print the tables, or write them to the page; exit with 1 if a scenario failed or did not end."""
    record = BUILD / "e2e.json"
    if not record.exists():
        sys.exit(f"{record}: got nothing; expected the record of a test run. Run make e2e or make e2e-smoke.")
    found: Found = json.loads(record.read_text())
    if as_page:
        PAGE.write_text(page(found), encoding="utf-8")
    else:
        console = Console(width=None if sys.stdout.isatty() else 160)
        for part in parts(found):
            console.print(console_table(part))
    bad = [name for name, each in found.items() if each["outcome"] not in ("passed", "skipped")]
    total = sum(each["seconds"] for each in found.values())
    click.echo(f"{len(found)} scenarios, {len(bad)} failed, {total:.0f} s")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
