"""`tfd compare`."""

from __future__ import annotations

from pathlib import Path

import click

from tfd.commands.options import ending
from tfd.comparing.compared import Compared, CompareError, differing, of_cluster, of_folder
from tfd.comparing.table import ordered, plots, results, show
from tfd.remote.kubectl import ClusterError, Kubectl
from tfd.remote.runs_table import console
from tfd.text import json_text, plain, refusal, shown, visible


@click.command("compare", short_help="Compare the settings and results of runs.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--from", "folder", type=click.Path(path_type=Path), help="Read the run directories in this folder.")
@click.option("--sort", "order", metavar="RESULT", help="Sort by this result, the largest first.")
@click.option("--ascending", is_flag=True, help="With --sort: the smallest first.")
@click.option(
    "--plot", "plotted", is_flag=True, help="Plot the result of --sort, else the first one, over each setting."
)
@click.option("--json", "json_output", is_flag=True, help="Print the comparison as JSON.")
def command(
    runs: tuple[str, ...], folder: Path | None, order: str | None, ascending: bool, plotted: bool, json_output: bool
) -> None:
    """Compare runs: the settings in which they differ, and their results.

    RUN is TEAM/RUN in the cluster, or a run in the namespace of the current context. In RUN, * stands for any
    characters: put it in quotes. The command uses `kubectl` with your own rights. With --from, RUN is the name of a
    run directory, and all are compared without RUN.

    Results are the metrics on evaluation data, else the loss. The results of an archived run are in its run directory.

    \b
    Exit codes:
      0  The comparison is printed.
      1  A name has no run, --sort no result, or --from no folder.
      2  The cluster did not answer, or an option is wrong.

    \b
    Examples:
      tfd compare 'vision/digits-42-*' --sort accuracy --plot
      tfd compare --from runs
    """  # noqa: D301 - click reads the escape
    if not runs and folder is None:
        raise click.UsageError("RUN: got nothing; expected the name of a run. Name runs, or set --from.")
    with ending(refused=(CompareError,), unable=(ClusterError,)):
        found, notes = (of_folder(folder, runs), []) if folder else of_cluster([_place(run) for run in runs])
        found = _sorted(found, order, ascending=ascending)
    keys = differing(found)
    if json_output:
        machine = {"settings": keys, "runs": [each.as_json(keys) for each in found], "notes": notes}
        click.echo(json_text(machine))
        return
    for note in notes:
        click.echo(visible(note), err=True)
    show(found, keys, console())
    names = [order] if order else results(found)[:1]
    for drawn in plots(found, keys, names[0]) if plotted and names else []:
        click.echo(f"\n{drawn}")
    if plotted and not keys:
        click.echo(plain("The runs have the same settings, so there is nothing to plot."))


def _place(run: str) -> tuple[str, str]:
    team, _, name = run.rpartition("/")
    return team or Kubectl().current_namespace(), name


def _sorted(found: list[Compared], order: str | None, *, ascending: bool) -> list[Compared]:
    if order is not None and order not in (names := results(found)):
        rule = f"one of {', '.join(map(plain, names))}" if names else "no option, because no run has a result yet"
        raise CompareError(refusal("--sort", shown(order), rule, "Name a result of the runs."))
    return ordered(found, order, ascending=ascending)
