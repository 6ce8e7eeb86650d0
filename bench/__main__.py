"""`make bench`: the trainer against a hand-written loop with the same model, data and process layout.

Both sides run in turns, so that a change in the speed of the host affects both. The result is the median of the ratios
of all pairs. The command writes build/bench.json and prints a table. The benchmark is not a test, because the rates
depend on the host.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.runs import BenchError, Finished, rate_from_marks, rate_from_summaries, run, wait_for
from tfd import records

WARM_UP = 200
LAYOUTS = {
    "OneDevice": "strategy: OneDevice\n",
    "MultiWorkerMirrored": "strategy: MultiWorkerMirrored\nworker: {replicas: 2}\n",
    "ParameterServer": "strategy: ParameterServer\nps: {replicas: 1}\nworker: {replicas: 2}\n",
}
BATCH_SIZE = 64
STORAGE = "storage: {claim: runs}\n"


def trainer_job(layout: str, steps: int) -> str:
    """Return the job file of the trainer's side; it saves only the last checkpoint, as the other side saves none."""
    return (
        LAYOUTS[layout] + STORAGE + f"trainer: {{task: digits, steps: {steps}, batchSize: {BATCH_SIZE}, "
        f"checkpointEvery: {steps}, summaryEvery: {WARM_UP}}}\n"
    )


def script_job(layout: str, *args: str | int) -> str:
    """Return the job file of a custom script; the trainer runs its servers, so both sides have the same processes."""
    return LAYOUTS[layout] + STORAGE + f"args: {json.dumps(['--', *map(str, args)])}\n"


def pair(layout: str, steps: int, folder: Path, other: str) -> dict[str, Any]:
    """Run the trainer and the script `other` once each.

    Args:
        layout: A key of LAYOUTS.
        steps: The steps of each run.
        folder: The working directory of the runs.
        other: `handwritten` or `keras_fit`.

    Returns:
        Both rates in steps per second, their ratio, and times of the trainer's run in seconds.

    Raises:
        BenchError: A run failed.

    """
    args: tuple[str | int, ...] = (steps, WARM_UP, BATCH_SIZE)
    if other == "handwritten":
        args = (layout, *args)
    finished = run(trainer_job(layout, steps), folder)
    trainer = rate_from_summaries(finished, WARM_UP)  # read first, because the next run deletes this run directory
    theirs = rate_from_marks(run(script_job(layout, f"bench/{other}.py", *args), folder))
    return {
        "trainer": trainer,
        other: theirs,
        "ratio": trainer / theirs,
        "lastExitAfterLeader": _last_exit(finished),
        **{name: float(seconds or 0.0) for name, seconds in finished.status["startup"].items()},
    }


def _last_exit(finished: Finished) -> float:
    """Return the seconds from the end of the leader to the end of the last task."""
    return max(float(task["secondsAfterLeader"]) for task in finished.result["tasks"].values())


def lost_time(role: str, folder: Path) -> float:
    """Kill task 0 of `role` during a ParameterServer run; return the seconds from the kill to the next step."""
    measured: list[float] = []

    def kill(state: Path) -> None:
        status = state.parent.parent / "bench" / "status.json"
        wait_for(lambda: (records.read(status).get("lastCheckpoint") or {}).get("step", 0) >= WARM_UP, "a checkpoint")
        tasks = records.read(state / "tasks.json")["tasks"]
        step = records.read(status)["step"]
        killed = time.monotonic()
        os.kill(tasks[f"{role}-0"]["pid"], signal.SIGKILL)
        wait_for(
            lambda: records.read(status).get("state") == "running" and records.read(status)["step"] > step, "a step"
        )
        measured.append(time.monotonic() - killed)

    steps = 8 * WARM_UP
    job = trainer_job("ParameterServer", steps).replace(f"checkpointEvery: {steps}", f"checkpointEvery: {WARM_UP}")
    run(job, folder, disturb=kill)
    return measured[0]


@click.command()
@click.option("--pairs", default=5, show_default=True, help="Pairs of runs per comparison.")
@click.option("--steps", default=1600, show_default=True, help="Steps of each run; the first 200 are not measured.")
@click.option("--layout", "layouts", multiple=True, type=click.Choice(list(LAYOUTS)), help="Default: all.")
@click.option("--faults/--no-faults", default=True, help="Also measure the time that a killed task costs.")
@click.option("--output", default=Path("build/bench.json"), show_default=True, type=click.Path(path_type=Path))
def main(pairs: int, steps: int, layouts: tuple[str, ...], faults: bool, output: Path) -> None:
    """Measure the trainer against a hand-written loop in alternating runs, and print the medians."""
    console = Console()
    comparisons = [(layout, "handwritten") for layout in layouts or LAYOUTS]
    if not layouts or "OneDevice" in layouts:
        comparisons.append(("OneDevice", "keras_fit"))
    report: dict[str, Any] = {"pairs": {}, "medians": {}, "lostSeconds": {}}
    try:
        with tempfile.TemporaryDirectory() as scratch, Progress(console=console) as progress:
            folder = Path(scratch)
            bar = progress.add_task("pairs", total=pairs * len(comparisons) + 3 * faults)
            for turn in range(pairs):
                for layout, other in comparisons:
                    progress.update(bar, description=f"{layout} against {other}, pair {turn + 1}")
                    result = pair(layout, steps, folder, other)
                    report["pairs"].setdefault(f"{layout}/{other}", []).append(result)
                    _save(report, output)
                    console.print(f"{layout} against {other}, pair {turn + 1}: {result['ratio']:.3f}", highlight=False)
                    progress.advance(bar)
            for role in ("worker", "ps", "chief") if faults else ():
                progress.update(bar, description=f"ParameterServer, {role} killed")
                report["lostSeconds"][role] = lost_time(role, folder)
                _save(report, output)
                progress.advance(bar)
    except BenchError as error:
        raise click.ClickException(str(error)) from None
    _print(report, console)
    console.print(f"written to {output}", highlight=False)


def _save(report: dict[str, Any], output: Path) -> None:
    """Write all results so far, so that an interrupted benchmark keeps them."""
    report["medians"] = {name: _medians(results) for name, results in report["pairs"].items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=1))
    temporary.replace(output)


def _medians(results: list[dict[str, Any]]) -> dict[str, float]:
    numbers = {name for name, value in results[0].items() if isinstance(value, float)}
    return {name: statistics.median(result[name] for result in results) for name in sorted(numbers)}


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table("layout", "against", "trainer steps/s", "other steps/s", "ratio", "last exit after", box=None)
    for name, medians in report["medians"].items():
        layout, other = name.split("/")
        last_exit = f"{medians['lastExitAfterLeader']:.2f} s"
        table.add_row(
            layout, other, f"{medians['trainer']:.1f}", f"{medians[other]:.1f}", f"{medians['ratio']:.3f}", last_exit
        )
    console.print(table)
    for name, medians in report["medians"].items():
        if name.endswith("keras_fit"):
            continue
        parts = ", ".join(f"{part} {medians[f'{part}Seconds']:.1f} s" for part in ("import", "barrier", "trace"))
        console.print(f"{name.split('/')[0]}, start to first step: {parts}", highlight=False)
    for role, seconds in report["lostSeconds"].items():
        console.print(f"ParameterServer, {role} killed: next step after {seconds:.1f} s", highlight=False)


if __name__ == "__main__":
    main()
