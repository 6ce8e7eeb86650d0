"""`tfd new`."""

from __future__ import annotations

import click

from tfd.commands.options import ending
from tfd.jobfile.copy import CopyError, copy
from tfd.jobfile.grid import GridError, axis
from tfd.jobfile.helm import HelmError
from tfd.text import visible


@click.command("new", short_help="Copy a job file to a new run.")
@click.argument("target", metavar="TEAM/RUN")
@click.option("--from", "source", required=True, metavar="TEAM/OLD", help="Run to copy.")
@click.option("--warm-start", is_flag=True, help="Start from the weights of OLD's newest checkpoint, at step 0.")
@click.option("--grid", "grid", multiple=True, metavar="KEY=V1,V2,...", help="Write a run for each value. Repeatable.")
def command(target: str, source: str, warm_start: bool, grid: tuple[str, ...]) -> None:
    """Copy the job file of TEAM/OLD to jobs/TEAM/RUN.yaml, because a merged run never changes.

    Comments are kept. The copy is active, whatever the state of OLD, and names the chart version of this `tfd`.
    An existing file is never overwritten. Without a folder jobs/examples, examples/NAME is an example of this `tfd`.

    With --grid, it writes one file for each combination of the values. The name of each file is RUN and the values,
    for example digits-42-batch-size-64. `tfd compare` shows the results.

    \b
    Exit codes:
      0  The files are written.
      1  A copy would be refused; nothing is written.
      2  Helm is missing.

    \b
    Examples:
      tfd new vision/digits-42 --from vision/digits-41 --warm-start
      tfd new vision/digits-42 --from vision/digits-41 --grid trainer.batchSize=32,64 --grid trainer.seed=1,2,3
    """  # noqa: D301 - click reads the escape
    with ending(refused=(CopyError, GridError), unable=(HelmError,)):
        paths = copy(target, source, warm_start=warm_start, axes=[axis(each) for each in grid])
    if not grid:
        click.echo(visible(f"{paths[0]}: written. Edit it, run `tfd check {paths[0]}` and commit it."))
        return
    for path in paths:
        click.echo(visible(f"{path}: written."))
    click.echo(visible(f"{len(paths)} runs. Run `tfd check {paths[0].parent}` and commit the files."))
