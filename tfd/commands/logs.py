"""`tfd logs`."""

from __future__ import annotations

import click

from tfd.commands.options import cluster, run_in_cluster
from tfd.remote import logs
from tfd.text import plain


@click.command("logs", short_help="Print the log of a task in the cluster.")
@run_in_cluster
@click.argument("task", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow the task and its next attempts until it has ended.")
def command(run: str, namespace: str | None, task: str | None, follow: bool) -> None:
    """Print the log of one task of a run in the cluster.

    RUN is the run's name, TEAM/RUN or its job file. TASK is chief, ps-1, worker-0, ...
    Default: the chief, or worker-0 in a run without a chief. In an elastic run without a chief, the worker that leads.

    \b
    Exit codes:
      0  The log is printed.
      1  The run, the task or its log does not exist.
      2  The cluster did not answer.

    Example: tfd logs vision/digits-41 worker-0 --follow
    """  # noqa: D301 - click reads the escape
    with cluster(run, namespace) as (kubectl, name):
        logs.show(kubectl, name, task, follow, lambda text: click.echo(plain(text), err=True))
