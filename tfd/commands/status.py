"""`tfd status`."""

from __future__ import annotations

import json
import time

import click
from rich.console import Console
from rich.live import Live

from tfd.commands.options import asking, of_a_run
from tfd.remote.render import render
from tfd.remote.status import FINAL, status

_EVERY = 2.0


@click.command("status")
@of_a_run
@click.option("--json", "json_output", is_flag=True, help="Print it as JSON.")
@click.option("--watch", is_flag=True, help="Show it anew every 2 seconds until the run has ended.")
def command(run: str, namespace: str | None, json_output: bool, watch: bool) -> None:
    """Show a run in the cluster: what runs, what is pending and why, step, rate, ETA, last checkpoint, result.

    RUN is the run's name, TEAM/RUN or its job file. It needs `kubectl` and what KUBECONFIG gives access to: the right
    to list pods, Jobs, ConfigMaps and events; with the right to exec the step comes from the run directory, else from
    the log.

    Exits with 0, with 1 when there is no such run, or with 2 when the cluster can't be asked.
    """
    if json_output and watch:
        raise click.UsageError("--json shows one look, --watch many: give one of them")
    with asking(run, namespace) as (kubectl, plain):
        now = status(kubectl, plain)
        if json_output:
            click.echo(json.dumps(now.as_json(), indent=1))
            return
        console = Console()
        if not watch:
            console.print(render(now), soft_wrap=True)
            return
        with Live(render(now), console=console, auto_refresh=False) as live:
            while now.state not in FINAL:
                time.sleep(_EVERY)
                now = status(kubectl, plain)
                live.update(render(now), refresh=True)
