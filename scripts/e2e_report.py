"""Print the results of the last scenarios: outcomes, durations, assertions, timings and figures.

Usage: python scripts/e2e_report.py
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

BUILD = Path(__file__).resolve().parent.parent / "build"
COLORS = {"passed": "green", "failed": "bold red", "error": "bold red", "skipped": "yellow"}


def title(name: str) -> Text:
    """Return the name of a test as words; plain text, because rich treats `[chief-0]` in markup as a style."""
    return Text(name.replace("_", " "))


def scenarios(found: dict[str, Any]) -> Table:
    """Return one row for each scenario."""
    table = Table(title="scenarios", title_justify="left", show_lines=True)
    table.add_column("scenario")
    table.add_column("outcome")
    table.add_column("seconds", justify="right")
    table.add_column("asserted")
    for name, each in found.items():
        words = each["asserted"] + (f"\n{each['why']}" if each.get("why") else "")
        color = COLORS[each["outcome"]]
        table.add_row(title(name), Text(each["outcome"], style=color), f"{each['seconds']:.0f}", Text(words))
    return table


def timings(found: dict[str, Any]) -> Table:
    """Return one row for each recorded time."""
    table = Table(title="timings", title_justify="left")
    table.add_column("scenario")
    table.add_column("from ... to")
    table.add_column("seconds", justify="right")
    for name, seconds in node_ready():
        table.add_row("make cluster", name, seconds)
    for name, each in found.items():
        for what, value in each.get("timings", {}).items():
            table.add_row(title(name), what, f"{value:.1f}")
    return table


def figures(found: dict[str, Any]) -> Table:
    """Return one row for each recorded value that has another unit than seconds."""
    table = Table(title="figures", title_justify="left")
    table.add_column("scenario")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, each in found.items():
        for what, value in each.get("figures", {}).items():
            table.add_row(title(name), what, value)
    return table


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


def main() -> None:
    """Print the tables; exit with 1 if a scenario failed."""
    record = BUILD / "e2e.json"
    if not record.exists():
        sys.exit(f"{record}: got nothing; expected the record of a test run. Run make e2e or make e2e-smoke.")
    found: dict[str, Any] = json.loads(record.read_text())
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(scenarios(found))
    console.print(timings(found))
    if any(each.get("figures") for each in found.values()):
        console.print(figures(found))
    bad = [name for name, each in found.items() if each["outcome"] in ("failed", "error")]
    total = sum(each["seconds"] for each in found.values())
    console.print(f"{len(found)} scenarios, {len(bad)} failed, {total:.0f} s")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
