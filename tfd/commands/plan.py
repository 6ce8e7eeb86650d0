"""`tfd plan`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tfd.commands.options import ending
from tfd.jobfile.helm import HelmError
from tfd.jobfile.jobfile import CheckError, JobFile
from tfd.planning.inputs import Sources, make, read_job
from tfd.planning.options import NUMBERS, Given, PlanError
from tfd.planning.report import as_json, as_text
from tfd.records import LARGEST
from tfd.text import json_text


def _numbers(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each number, in their order."""
    for each in reversed(NUMBERS):
        command = click.option(each.name, type=float, metavar="NUMBER", help=each.help_text)(command)
    return command


def _report(path: str | None) -> tuple[str, str] | None:
    """Return name and text of a report; a longer text than any report is cut, and so refused."""
    if path is None:
        return None
    with click.open_file(path, encoding="utf-8", errors="replace") as file:
        return path, file.read(LARGEST + 1)


@click.command("plan", short_help="Estimate how a run scales.")
@click.argument("job_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--measured",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run directory of a OneDevice run of the same task, which gives the speed of one device. Runs with several "
    "batch sizes give the fixed part of a step too.",
)
@click.option(
    "--check",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Output of `python -m trainer check TASK --json`, which has the parameters and the speed. - is stdin.",
)
@_numbers
@click.option("--json", "json_output", is_flag=True, help="Print the estimates as JSON.")
def command(job_file: Path, measured: tuple[Path, ...], check: str | None, json_output: bool, **given: Any) -> None:  # noqa: ANN401 - numbers
    """Estimate step time, examples per second, time to the last step and GPU-hours of JOB_FILE.

    The table compares numbers of workers and names what limits each: the computation, the network or the ps. A number
    without a default that nothing names is asked for. docs/guides/scaling.md explains the formulas.

    \b
    Exit codes:
      0  The estimates are printed.
      1  A number is missing or refused, or JOB_FILE is.
      2  Helm is missing.

    Example: tfd plan jobs/vision/digits-41.yaml --measured runs/digits-40 --parameters 109386 --bandwidth 10
    """  # noqa: D301 - click reads the escape
    with ending(refused=(PlanError,), unable=(HelmError, CheckError)):
        plan = make(read_job(JobFile(job_file)), Given(given), Sources(measured=measured, check=_report(check)))
    if json_output:
        click.echo(json_text(as_json(plan)))
    else:
        click.echo(as_text(plan))
