"""`tfd chart-diff`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tfd.commands.options import ending
from tfd.jobfile.helm import HelmError
from tfd.jobfile.registry import RegistryError
from tfd.kinds import RUN
from tfd.review.analysis.chart_move import ChartMove, ChartMoveError, moved
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import GitError, Repository
from tfd.review.sources.renderer import Renderer
from tfd.text import dotted, json_text, shown, visible


@click.command("chart-diff", short_help="Show what another version of the chart changes.")
@click.argument("job_files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to", "version", metavar="VERSION", help="Version of the chart. Default: the one that `tfd new` writes."
)
@click.option("--json", "json_output", is_flag=True, help="Print the differences as a JSON list.")
def command(job_files: tuple[Path, ...], version: str | None, json_output: bool) -> None:
    """Show what another version of the chart changes in the runs of JOB_FILES.

    For each file, it lists the defaults that moved and the difference of the rendered objects. A merged run stays on
    its chart. To use the other one, copy the file with `tfd new`. The charts are those of the repository in the
    current folder: its git tags, or the registry in argocd/values.yaml.

    \b
    Exit codes:
      0  The differences are printed.
      1  A job file is refused.
      2  A version of the chart or Helm is missing, or the registry does not answer.

    Example: tfd chart-diff jobs/vision/digits-42.yaml --to 0.2.0
    """  # noqa: D301 - click reads the escape
    unable = (ChartMoveError, GitError, RegistryError)
    with ending(refused=(HelmError,), unable=unable), tempfile.TemporaryDirectory() as folder:
        repository = Repository(Path())
        charts = Charts(repository, repository.commit("HEAD"), Path(folder, "charts"))
        renderer = Renderer(charts, Path(folder, "jobs"))
        wanted = charts.newest(RUN).version if version is None else version
        found = [moved(path, renderer, wanted) for path in job_files]
    if json_output:
        click.echo(json_text([_machine(each) for each in found]))
        return
    for each in found:
        click.echo("\n".join(map(visible, _lines(each))))


def _lines(move: ChartMove) -> list[str]:
    if not move.objects and not move.keys:
        return [f"{move.path}: chart {move.after} changes nothing since {move.before}"]
    defaults = [
        f"  {dotted(each.key)} ({each.kind}): {shown(each.base)} -> {shown(each.merged)}" for each in move.keys
    ] or ["  none"]
    return [f"{move.path}: chart {move.before} -> {move.after}", "defaults that moved:", *defaults, *move.objects]


def _machine(move: ChartMove) -> dict[str, object]:
    keys = [
        {"key": dotted(each.key), "class": each.kind, "before": each.base, "after": each.merged} for each in move.keys
    ]
    return {
        "path": str(move.path),
        "before": move.before,
        "after": move.after,
        "defaults": keys,
        "objects": move.objects,
    }
