"""`tfd import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfd.commands.options import REFUSED, UNABLE
from tfd.importing import report
from tfd.importing.context import Answers
from tfd.importing.job_file import STDOUT, Result, import_manifest
from tfd.importing.manifest import UnreadableError
from tfd.jobfile.copy import CopyError
from tfd.jobfile.helm import HelmError
from tfd.jobfile.writing import WriteError
from tfd.text import json_text, refusal, visible


@click.command("import", short_help="Turn a TFJob or a Volcano Job into a job file.")
@click.argument(
    "manifest", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--team", default="", help="Team of the run. Default: the namespace of the manifest.")
@click.option("--run", "run_name", default="", help="Name of the run. Default: the name of the manifest.")
@click.option("--select", default="", metavar="NAME", help="Job to import, if FILE contains several.")
@click.option(
    "--script",
    type=click.Choice(["coordinator", "every-task"]),
    help="Who runs the program, where the manifest has parameter servers: only the chief (ParameterServerStrategy), or "
    "every task (Estimator, tf.train.Server).",
)
@click.option("--storage", default="", metavar="CLAIM", help="Claim that the run writes to.")
@click.option("--memory", default="", metavar="QUANTITY", help="Memory of each task whose manifest names none.")
@click.option(
    "--output", default="", metavar="PATH", help="Job file to write, or - for stdout. Default: jobs/TEAM/RUN.yaml."
)
@click.option("--force", is_flag=True, help="Replace an existing job file.")
@click.option("--json", "json_output", is_flag=True, help="Print the report as JSON.")
def command(
    manifest: Path,
    team: str,
    run_name: str,
    select: str,
    script: str | None,
    storage: str,
    memory: str,
    output: str,
    force: bool,
    json_output: bool,
) -> None:
    """Turn the manifest in FILE into a job file, and report what became of each of its fields.

    FILE is a TFJob of Kubeflow or KubeDL, a Job of Volcano or an ElasticJob, in YAML or JSON; - is standard input. The
    report lists what is the same, what is changed and what is dropped. A value that the manifest does not contain
    becomes a TODO, which `tfd check`, the review and Argo CD refuse.

    \b
    Exit codes:
      0  The job file is complete.
      1  The job file is written, and a TODO is left or the chart refuses it.
      2  FILE cannot be imported or the job file cannot be written, or Helm is missing; nothing is written.

    Example: kubectl get tfjob mnist -o yaml | tfd import - --team vision
    """  # noqa: D301 - click reads the escape
    answers = Answers(team, run_name, script or "", storage, memory)  # type: ignore[arg-type]
    try:
        result = import_manifest(_text(manifest), answers, select=select, output=output, replace=force)
    except UnreadableError as error:
        name = "stdin" if manifest == STDOUT else str(manifest)
        click.echo(visible(f"{name}:{error.line}:{error.column}: {error}"), err=True)
        sys.exit(UNABLE)
    except (HelmError, CopyError, WriteError) as error:
        click.echo(visible(str(error), lines=True), err=True)
        sys.exit(UNABLE)
    _print(result, json_output)
    sys.exit(0 if result.is_complete else REFUSED)


def _text(manifest: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if manifest == STDOUT else manifest.read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"invalid UTF-8 ({error.reason} at byte {error.start})"
        raise UnreadableError(refusal("file", got, "UTF-8 text", "Save the file as UTF-8.")) from None


def _print(result: Result, json_output: bool) -> None:
    """Print the report; with the job file on stdout, the report goes to standard error."""
    to_stdout = result.path == STDOUT
    if to_stdout:
        click.echo(result.text, nl=False)
    if json_output:
        click.echo(json_text(report.as_json(result)), err=to_stdout)
    else:
        for line in report.lines(result):
            click.echo(visible(line, lines=True), err=to_stdout)
