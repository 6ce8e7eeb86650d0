"""`tfd status`."""

from __future__ import annotations

import click
from rich.console import Console

from tfd.commands.options import cluster, run_in_cluster
from tfd.remote.render import render, watch
from tfd.remote.status import status
from tfd.text import json_text


@click.command("status", short_help="Show a run in the cluster.")
@run_in_cluster
@click.option("--json", "json_output", is_flag=True, help="Print the status as JSON.")
@click.option("--watch", "watched", is_flag=True, help="Refresh every 2 seconds until the run has ended.")
def command(run: str, namespace: str | None, json_output: bool, watched: bool) -> None:
    """Show a run in the cluster: tasks, reasons for waiting, step, rate, ETA, last checkpoint and result.

    RUN is the run's name, TEAM/RUN or its job file. The command uses `kubectl` with your own rights: it needs to list
    pods, Jobs, ConfigMaps and events. With the right to exec it reads the step from the run directory, else from the
    log.

    \b
    Exit codes:
      0  The status is printed.
      1  The run does not exist.
      2  The cluster did not answer.

    Example: tfd status vision/digits-41 --watch
    """  # noqa: D301 - click reads the escape
    if json_output and watched:
        raise click.UsageError("--watch: got --json as well; expected one of the two. Remove --watch.")
    with cluster(run, namespace) as (kubectl, name):
        now = status(kubectl, name)
        if json_output:
            click.echo(json_text(now.as_json()))
        elif watched:
            watch(now, lambda: status(kubectl, name), Console())
        else:
            Console().print(render(now), soft_wrap=True)
