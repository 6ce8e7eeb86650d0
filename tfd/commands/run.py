"""`tfd run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from tfd.commands.options import ending
from tfd.jobfile.helm import HelmError
from tfd.jobfile.jobfile import JobFile
from tfd.local.report import as_json, print_report
from tfd.local.run import RunError, run
from tfd.local.view import PlainView, make_view
from tfd.text import json_text


@click.command("run")
@click.argument("job_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--dir",
    "root",
    default=Path("runs"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that stands for the shared storage. The run directory is DIR/RUN. Folders below DIR/.tfd stand for "
    "other claims (claims/NAME), Secrets (secrets/NAME) and ConfigMaps (configmaps/NAME).",
)
@click.option("--fresh", is_flag=True, help="Delete the results of an earlier run of this name and start at step 0.")
@click.option(
    "--isolate/--no-isolate",
    default=None,
    help="Give the run its own network namespace. Default: where the machine allows it and the run needs no other "
    "network.",
)
@click.option(
    "--metrics",
    is_flag=True,
    help="Serve the metrics of metrics.enabled at 127.0.0.1. The run then has the network of the machine.",
)
@click.option("--plain", is_flag=True, help="Print plain log lines on a terminal too.")
@click.option("--json", "json_output", is_flag=True, help="Print the result as JSON on stdout and the logs on stderr.")
def command(
    job_file: Path, root: Path, fresh: bool, isolate: bool | None, metrics: bool, plain: bool, json_output: bool
) -> None:
    """Run JOB_FILE on this machine.

    Each pod becomes one process with the rendered command, environment and files. A task that exits with a code that
    is retried starts again, as often as its Kubernetes Job allows. Ctrl-C stops all tasks with a checkpoint, and the
    same command resumes from it. A run that is done is not trained again.

    \b
    Exit codes:
      0    The run is done.
      2    JOB_FILE is refused, or cannot run on this machine.
      130  Stopped with Ctrl-C.
      N    The exit code of the task that ended the run.

    Example: tfd run jobs/examples/digits-one-device.yaml
    """  # noqa: D301 - click reads the escape
    console = Console(stderr=json_output)
    view = PlainView(console) if plain else make_view(console)
    with ending(unable=(RunError, HelmError)):
        result = run(JobFile(job_file), root, view, fresh=fresh, isolate=isolate, metrics=metrics)
    if json_output:
        click.echo(json_text(as_json(result)))
    else:
        print_report(result, console)
    sys.exit(result.exit_code)
