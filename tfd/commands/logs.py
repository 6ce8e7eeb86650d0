"""`tfd logs`."""

from __future__ import annotations

import click

from tfd.commands.options import asking, of_a_run
from tfd.remote import logs


@click.command("logs")
@of_a_run
@click.argument("task", required=False)
@click.option("-f", "--follow", is_flag=True, help="Wait for the task and its next attempts, until it has ended.")
def command(run: str, namespace: str | None, task: str | None, follow: bool) -> None:
    """Print the log of one task of a run in the cluster.

    TASK is chief, ps-1, worker-0, ...; without it the chief, or worker-0 where there is none.

    Exits with 0, with 1 when there is no such run or task or no log, or with 2 when the cluster can't be asked.
    """
    with asking(run, namespace) as (kubectl, plain):
        logs.show(kubectl, plain, task, follow, lambda words: click.echo(words, err=True))
