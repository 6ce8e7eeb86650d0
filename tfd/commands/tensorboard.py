"""`tfd tensorboard`."""

from __future__ import annotations

import click

from tfd.commands.options import cluster, run_in_cluster
from tfd.remote import tensorboard


@click.command("tensorboard", short_help="Open the TensorBoard of a run in the cluster.")
@run_in_cluster
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine. Default: a free one.")
def command(run: str, namespace: str | None, port: int | None) -> None:
    """Forward a run's TensorBoard to a port that only this machine reaches, until Ctrl-C.

    RUN is the run's name, TEAM/RUN or its job file.

    \b
    Exit codes:
      0  Stopped with Ctrl-C.
      1  The run does not exist, or its TensorBoard is not running.
      2  The cluster did not answer, or the connection ended.

    Example: tfd tensorboard vision/digits-41
    """  # noqa: D301 - click reads the escape
    with cluster(run, namespace) as (kubectl, name):
        try:
            tensorboard.forward(kubectl, name, port or 0, lambda address: click.echo(f"{address}   (Ctrl-C stops it)"))
        except KeyboardInterrupt:
            return
