"""`tfd new`."""

from __future__ import annotations

import click

from tfd.commands.options import ending
from tfd.jobfile.copy import CopyError, copy
from tfd.jobfile.helm import HelmError
from tfd.text import visible


@click.command("new", short_help="Copy a job file to a new run.")
@click.argument("target", metavar="TEAM/RUN")
@click.option("--from", "source", required=True, metavar="TEAM/OLD", help="Run to copy.")
@click.option("--warm-start", is_flag=True, help="Start from the weights of OLD's newest checkpoint, at step 0.")
def command(target: str, source: str, warm_start: bool) -> None:
    """Copy the job file of TEAM/OLD to jobs/TEAM/RUN.yaml, because a merged run never changes.

    Comments are kept. The copy is active, whatever the state of OLD, and names the chart version of this `tfd`.
    An existing file is never overwritten. Without a folder jobs/examples, examples/NAME is an example of this `tfd`.

    \b
    Exit codes:
      0  The file is written.
      1  The copy would be refused; nothing is written.
      2  Helm is missing.

    Example: tfd new vision/digits-42 --from vision/digits-41 --warm-start
    """  # noqa: D301 - click reads the escape
    with ending(refused=(CopyError,), unable=(HelmError,)):
        path = copy(target, source, warm_start=warm_start)
    click.echo(visible(f"{path}: written. Edit it, run `tfd check {path}` and commit it."))
