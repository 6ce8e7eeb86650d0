"""`python -m bench.scaling`: measure 1 to 4 workers on this machine, and compare them with `tfd plan`.

The report is written after each run. The same command continues an interrupted measurement.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from bench.runs import BenchError
from bench.scaling.comparison import compare, markdown, settings
from bench.scaling.runs import Measured, measure

Results = dict[str, list[Measured]]


def read(path: Path) -> Results:
    """Return the measurements of an earlier call; none if there is no such file."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())["runs"]
    return {key: [Measured(**each) for each in runs] for key, runs in stored.items()}


def write(results: Results, path: Path) -> None:
    """Write all measurements so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    runs = {key: [asdict(each) for each in found] for key, found in results.items()}
    temporary.write_text(json.dumps({"cores": _cores(), "runs": runs}, indent=1))
    temporary.replace(path)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@click.command()
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="Measurements of each run.")
@click.option(
    "--scale", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Times the steps."
)
@click.option("--fresh", is_flag=True, help="Delete the measurements of earlier calls.")
@click.option(
    "--output",
    default=Path("build/scaling.json"),
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The measurements. The table is written next to it, with the suffix .md.",
)
def main(rounds: int, scale: float, fresh: bool, output: Path) -> None:
    """Compare the predictions of tfd plan with runs of 1 to 4 workers on this machine.

    It takes about half a minute per run, 26 runs per round. Ctrl-C ends it; the same command continues.
    """
    console = Console(stderr=True)
    results = {} if fresh else read(output)
    todo = [
        (turn, each) for turn in range(rounds) for each in settings(scale) if len(results.get(each.key, ())) <= turn
    ]
    try:
        with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
            bar = progress.add_task("runs", total=len(todo))
            for _, setting in todo:
                progress.update(bar, description=setting.key)
                results.setdefault(setting.key, []).append(measure(setting, Path(folder)))
                write(results, output)
                progress.advance(bar)
    except BenchError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        console.print(f"Interrupted: {output} has the runs so far. The same command continues.", highlight=False)
        sys.exit(130)
    table = markdown(compare(results, _cores()))
    output.with_suffix(".md").write_text(table)
    click.echo(table, nl=False)


if __name__ == "__main__":
    main()
