"""Measure each change of an elastic run several times: `python -m tests.soak.figures --times 3`.

The result is a table in Markdown. A time without a step is the longest one between two steps, from the change until the
run takes steps again.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
from pathlib import Path

import click

from tests.soak.checks import disorder
from tests.soak.observer import Observer
from tests.soak.report import show
from tests.soak.scenarios import SCENARIOS
from tests.soak.stage import Stage
from tests.soak.tasks import tasks_of
from trainer.runtime.exit_codes import STOPPED

STEPS = 1_000_000
"""More steps than the scenarios leave time for."""


def table(seconds: dict[str, dict[str, list[float]]]) -> str:
    """Return strategy -> change -> seconds without a step as a table in Markdown."""
    lines = ["| strategy | change | median | longest | times |", "| --- | --- | --- | --- | --- |"]
    for strategy, changes in seconds.items():
        for change, each in changes.items():
            figures = f"{statistics.median(each):.1f} s | {max(each):.1f} s | {len(each)}"
            lines.append(f"| `{strategy}` | {change} | {figures} |")
    return "\n".join(lines)


def report(change: str, pause: float) -> None:
    """Show the seconds without a step after a change."""
    show(f"{pause:6.1f} s without a step: {change}")


@click.command(help=__doc__)
@click.option("--times", default=3, show_default=True, help="Number of runs of each scenario.")
@click.option("--strategy", type=click.Choice(sorted(SCENARIOS)), help="Only this strategy.")
def main(times: int, strategy: str | None) -> None:
    """Play all scenarios, and exit with 0 if no run was in disorder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # so that no process of a run is left behind
    seconds: dict[str, dict[str, list[float]]] = {}
    wrong: list[str] = []
    for this in [strategy] if strategy else sorted(SCENARIOS):
        seconds[this] = {}
        for scenario in SCENARIOS[this] * times:
            with (
                tempfile.TemporaryDirectory(prefix="scenario-") as folder,
                tasks_of(this, Path(folder), STEPS) as tasks,
                Observer(tasks.run_dir) as observer,
            ):
                scenario(Stage(tasks, observer, seconds[this], report))
                tasks.stop()
                wrong += disorder(tasks, observer)
    show(f"seconds without a step:\n{table(seconds)}")
    for each in wrong:
        show(f"PROBLEM: {each}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
