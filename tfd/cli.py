"""The `tfd` command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from tfd import __version__
from tfd.commands import logs, status, tensorboard
from tfd.commands.review import review
from tfd.jobfile import helm
from tfd.jobfile.copy import new
from tfd.jobfile.jobfile import JobFile, Problem
from tfd.local import network
from tfd.local.pods import PodError
from tfd.local.report import as_json, print_report
from tfd.local.run import RunError, delete, execute, only_one, plan
from tfd.local.view import PlainView, make_view

REFUSED = 1
USAGE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfd")
def main() -> None:
    """A values file committed to git is a training run: check one, run it, and see how it does."""


for command in (new, review, status.command, logs.command, tensorboard.command):
    main.add_command(command)


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "json_output", is_flag=True, help="Print the problems as a JSON list.")
def check(paths: tuple[Path, ...], json_output: bool) -> None:
    """Check job files: every problem as FILE:LINE:COLUMN: KEY: MESSAGE.

    PATHS are job files, or folders that are searched for them; without any, jobs/ is checked.
    Exits with 0 when all are fine and with 1 when one is not.
    """
    files = sorted(_job_files(paths or (Path("jobs"),)))
    if not files:
        _fail("no job file found: name one, or a folder that holds *.yaml files")
    try:
        problems = [problem for path in files for problem in JobFile(path).problems()]
    except helm.HelmError as error:
        _fail(str(error))
    if json_output:
        click.echo(json.dumps([_problem_as_json(problem) for problem in problems], indent=1))
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(files)} checked, {len({p.path for p in problems})} refused", err=True)
    sys.exit(REFUSED if problems else 0)


@main.command()
@click.argument("job_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--dir",
    "root",
    default=Path("runs"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Stands for the shared storage; the run directory is DIR/RUN.",
)
@click.option("--fresh", is_flag=True, help="Delete what an earlier run of this name left, and start at step 0.")
@click.option(
    "--isolate/--no-isolate",
    default=None,
    help="Network namespace of the run's own. Default: where it is allowed and the run needs no other network.",
)
@click.option("--plain", is_flag=True, help="Plain log lines, on a terminal too.")
@click.option("--json", "json_output", is_flag=True, help="Print the result as JSON on stdout, logs on stderr.")
def run(job_file: Path, root: Path, fresh: bool, isolate: bool | None, plain: bool, json_output: bool) -> None:
    """Run JOB_FILE on this machine: one process per pod, with exactly the rendered command, env and files.

    A task that leaves with an exit code that is not final is started again within the budget of its Job.
    Ctrl-C stops every task and leaves a checkpoint; the same command goes on from it. A run that is done is
    not trained again.

    Exits with 0, with the exit code of the task that ended the run, with 2 when JOB_FILE is refused, or with
    130 after Ctrl-C.
    """
    job = JobFile(job_file)
    console = Console(stderr=json_output)
    try:
        if problems := job.problems():
            _fail("\n".join(map(str, problems)))
        ready = plan(job, root)
        with only_one(ready.layout):
            if fresh:
                delete(ready.layout)
            _isolate(isolate, ready.needs_network, console)
            result = execute(ready, PlainView(console) if plain else make_view(console))
    except (RunError, PodError, helm.HelmError) as error:
        _fail(str(error))
    if json_output:
        click.echo(json.dumps(as_json(result), indent=1))
    else:
        print_report(result, console)
    sys.exit(result.exit_code)


def _isolate(wanted: bool | None, needs_network: bool, console: Console) -> None:
    """Give the run its own network, as far as that is wanted and possible; say so when it is not."""
    if wanted is False or (wanted is None and needs_network):
        why = "--no-isolate" if wanted is False else "the run needs it for gs:// or https://"
    else:
        refusal = network.isolate()
        if refusal is None:
            return
        if wanted:
            raise RunError(f"--isolate: no network namespace: {refusal}")
        why = f"no network namespace here: {refusal}"
    console.print(f"note: TensorFlow's ports are open to the network while this runs ({why})", highlight=False)


def _job_files(paths: tuple[Path, ...]) -> set[Path]:
    return {file for path in paths for file in ([path] if path.is_file() else path.rglob("*.yaml"))}


def _problem_as_json(problem: Problem) -> dict[str, str | int]:
    return {
        "path": str(problem.path),
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(USAGE)
