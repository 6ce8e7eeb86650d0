"""The report at the end of a run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tfd.exits import exit_codes
from tfd.local.run import INTERRUPTED, Result
from tfd.local.supervisor import Task
from tfd.text import duration, metric, number, plain


def as_json(result: Result) -> dict[str, Any]:
    """Return the result for machines."""
    return {
        "run": result.run,
        "exitCode": result.exit_code,
        "seconds": round(result.seconds, 3),
        "alreadyDone": result.already_done,
        "runDirectory": str(result.run_dir) if result.run_dir else None,
        "logs": str(result.state_dir),
        "result": result.done or None,
        "failedTask": result.failed.name if result.failed else None,
        "tasks": {
            task.name: {
                "exitCode": task.exit_code,
                "attempts": task.attempts,
                "secondsAfterLeader": _after(task, _leader_end(result)),
                "log": str(task.process.log),
            }
            for task in result.tasks
        },
    }


def print_report(result: Result, console: Console) -> None:
    """Print how the run ended, where its results are and what to do next."""
    if result.failed is not None:
        _print_failure(result, result.failed, console)
    elif result.exit_code == INTERRUPTED:
        _print(console, "yellow", f"{result.run} was stopped after {duration(result.seconds)}")
        _print(console, "", "  Run the same command again to resume from the last checkpoint.")
    elif result.already_done:
        _print(console, "green", f"{result.run} was done already: nothing was trained")
        _print(console, "", "  Set --fresh to delete its results and to train again.")
    else:
        _print(console, "green", f"{result.run} is done after {duration(result.seconds)}")
    if result.done:
        _print_result(result.done, console)
    if restarts := [f"{task.name} {task.attempts - 1}" for task in result.tasks if task.attempts > 1]:
        _print(console, "", f"  {'restarts':<13} {', '.join(restarts)}")
    for name, place in _places(result):
        _print(console, "", f"  {name:<13} {place}")


def _print_result(done: dict[str, Any], console: Console) -> None:
    metrics = done.get("metrics")
    for name, value in metrics.items() if isinstance(metrics, dict) else ():
        _print(console, "bold", f"  {name:<13} {metric(value)} (evaluation data)")
    steps, rate = done.get("step"), done.get("stepsPerSecond")
    if steps is not None:  # a custom program counts its steps itself
        _print(console, "", f"  {'steps':<13} {steps}" + (f", {number(rate)} steps/s" if rate else ""))


def _print_failure(result: Result, failed: Task, console: Console) -> None:
    known = exit_codes().get(failed.exit_code or 0)
    meaning = f": {known.meaning}" if known else ""
    _print(console, "bold red", f"{result.run} failed: {failed.name} exited with {failed.exit_code}{meaning}")
    for line in result.last_lines:
        _print(console, "dim", f"  {line}")
    if known:
        _print(console, "", f"  {'next':<13} {known.next}")
    _print(console, "", f"  {'its log':<13} {_relative(failed.process.log)}")


def _leader_end(result: Result) -> float | None:
    ends = {task.name: task.ended for task in result.tasks}
    return ends.get("chief-0", ends.get("worker-0"))


def _after(task: Task, leader_end: float | None) -> float | None:
    return None if task.ended is None or leader_end is None else round(task.ended - leader_end, 3)


def _places(result: Result) -> list[tuple[str, str]]:
    places = [("task logs", f"{_relative(result.state_dir)}/*.log")]
    run_dir = result.run_dir
    if run_dir is None or not run_dir.is_dir():
        return places
    places.insert(0, ("run directory", str(_relative(run_dir))))
    if (run_dir / "export").is_dir():
        places.insert(0, ("export", f"{_relative(run_dir / 'export')} (SavedModel)"))
    if (run_dir / "logs").is_dir():
        program = _relative(Path(sys.executable).parent / "tensorboard")
        command = shlex.join([str(program), "--logdir", str(_relative(run_dir / "logs"))])
        places.append(("TensorBoard", command))
    return places


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _print(console: Console, style: str, text: str) -> None:
    console.print(Text(plain(text), style=style), soft_wrap=True)
