"""`tfd tensorboard`."""

from __future__ import annotations

import click

from tfd.commands.options import asking, of_a_run
from tfd.remote import tensorboard


@click.command("tensorboard")
@of_a_run
@click.option("--port", type=click.IntRange(1, 65535), help="Port on this machine; default: a free one.")
def command(run: str, namespace: str | None, port: int | None) -> None:
    """Show a run's TensorBoard at a port of this machine, which nobody else reaches; Ctrl-C ends it.

    Exits with 1 when there is no such run or it has no TensorBoard, or with 2 when the cluster can't be asked or the
    connection breaks.
    """
    with asking(run, namespace) as (kubectl, plain):
        try:
            tensorboard.forward(kubectl, plain, port or 0, lambda address: click.echo(f"{address}   (Ctrl-C ends it)"))
        except KeyboardInterrupt:
            return
