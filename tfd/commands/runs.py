"""`tfd runs`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click
from rich.console import RenderableType

from tfd.commands.options import ending
from tfd.remote import fleet
from tfd.remote.kubectl import ClusterError, Kubectl
from tfd.remote.runs import SORTS, Choice, Row, chosen, totals
from tfd.remote.runs_table import console, render, render_cost, unread, watch
from tfd.remote.status import STATES
from tfd.text import json_text, shown

_PROGRESS = 8
_MOST = 200


@click.command("runs", short_help="Show all runs of the teams.")
@click.argument("teams", nargs=-1, metavar="[TEAM]...")
@click.option("-A", "--all-namespaces", is_flag=True, help="Show the runs of all namespaces.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only this state. Repeatable.")
@click.option("--owner", "owners", multiple=True, help="Only this owner. Repeatable.")
@click.option("-l", "--selector", "labels", default="", help="Only these labels, as in kubectl: `project=a,phase!=b`.")
@click.option("--sort", "order", type=click.Choice(tuple(SORTS)), default="team", show_default=True)
@click.option("--progress", type=click.IntRange(0, _MOST), default=_PROGRESS, show_default=True, metavar="N",
              help="Read the progress of the first N running runs.")  # fmt: skip
@click.option("--cost", is_flag=True, help="Print only GPU-hours, per team or another --by.")
@click.option("--by", default="team", show_default=True, help="Group of --cost: team, owner or the name of a label.")
@click.option("--json", "json_output", is_flag=True, help="Print runs and totals as JSON.")
@click.option("--watch", "watched", is_flag=True, help="Refresh every 5 seconds until Ctrl-C.")
def command(
    teams: tuple[str, ...], all_namespaces: bool, states: tuple[str, ...], owners: tuple[str, ...], labels: str,
    order: str, progress: int, cost: bool, by: str, json_output: bool, watched: bool,
) -> None:  # fmt: skip
    """Show all runs of teams: state, queue, tasks, GPUs, step, ETA, result, age, owner and the last error.

    TEAM is the namespace of a team. Without one, it is the namespace of the current context. The command uses
    `kubectl` with your own rights. It lists ConfigMaps, Jobs, pods and events once, and Workloads if a run has a queue.

    The step of a run that has ended comes from its pods, at no cost. The step of a run that runs costs one to three
    requests, so only the first N have one. A run that was not read counts as running, even if it still starts.

    GPU-hours are those of the pods that exist, from the moment a pod got its node to its end. A Job that ended and
    whose pods are deleted gives an upper limit. Suspended or evicted pods and archived runs leave no record.

    \b
    Exit codes:
      0  The runs are printed. There may be none.
      2  The cluster did not answer, or an option is wrong.

    Example: tfd runs vision speech --state failed --sort age
    """  # noqa: D301 - click reads the escape
    if json_output and watched:
        raise click.UsageError("--watch: got --json as well; expected one of the two. Remove --watch.")
    if all_namespaces and teams:
        raise click.UsageError(f"TEAM: got {shown(teams[0])}; expected none with --all-namespaces. Remove one of them.")
    choice = Choice(states, owners, order, 0 if cost and "starting" not in states else progress)

    def look() -> tuple[list[Row], list[str]]:
        found = fleet.look(places, labels)
        return chosen(found, choice, datetime.now(UTC)), found.notes

    with ending(unable=(ClusterError,)):
        places: list[str | None] = [None] if all_namespaces else [*dict.fromkeys(teams)]
        places = places or [Kubectl().current_namespace()]
        draw = _drawn_cost if cost else _drawn
        if watched:
            watch(lambda: draw(*look(), by), console())
            return
        found, notes = look()
        if json_output:
            click.echo(json_text(_as_json(found, notes, by, cost)))
        else:
            console().print(draw(found, notes, by), soft_wrap=False)


def _drawn(found: list[Row], notes: list[str], _by: str) -> RenderableType:
    return render(found, totals(found, _group("team")), [*notes, *unread(found)])


def _drawn_cost(found: list[Row], notes: list[str], by: str) -> RenderableType:
    return render_cost(by, totals(found, _group(by)), notes)


def _as_json(found: list[Row], notes: list[str], by: str, cost: bool) -> dict[str, object]:
    if cost:
        return {"by": by, "groups": [each.as_json() for each in totals(found, _group(by))], "notes": notes}
    return {
        "runs": [row.as_json() for row in found],
        "teams": [each.as_json() for each in totals(found, _group("team"))],
        "notes": [*notes, *unread(found)],
    }


def _group(by: str) -> Callable[[Row], str]:
    """Return what gives the group of a run: its team, its owner or the value of its label."""
    if by == "team":
        return lambda row: row.status.namespace
    return (lambda row: row.owner) if by == "owner" else lambda row: row.labels.get(by, "")
