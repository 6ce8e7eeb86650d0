"""`tfd init`."""

from __future__ import annotations

import click

from tfd.commands.options import ending
from tfd.starting.files import Settings, StartError, files
from tfd.starting.start import refuse_existing, target, write
from tfd.text import json_text, visible


@click.command("init", short_help="Create a repository for job files.")
@click.argument("folder")
@click.option("--team", "teams", multiple=True, metavar="NAME", help="Team in argocd/values.yaml. Repeatable.")
@click.option("--repository", default="", metavar="URL", help="Address under which Argo CD reaches the repository.")
@click.option("--owner", default="", metavar="@LOGIN", help="Who must approve changes, as in CODEOWNERS.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--json", "json_output", is_flag=True, help="Print the paths as JSON.")
def command(folder: str, teams: tuple[str, ...], repository: str, owner: str, dry_run: bool, json_output: bool) -> None:
    """Create a git repository in FOLDER, whose job files Argo CD runs with the released chart.

    It contains an example, the rules and workflows of the review, and the settings of Argo CD. README.md lists the
    next steps. An existing file is never overwritten, and nothing is committed.

    \b
    Exit codes:
      0  The files are written.
      1  A file exists, or an option is refused; nothing is written.

    Example: tfd init runs --team vision --repository https://github.com/example-org/runs --owner @example-org/ml
    """  # noqa: D301 - click reads the escape
    settings = Settings(teams, repository, owner)
    with ending(refused=(StartError,)):
        settings.check()
        root = target(folder)
        found = files(settings)
        if dry_run:
            refuse_existing(root, found)
        else:
            write(root, found)
    if json_output:
        click.echo(json_text({"folder": str(root), "written": not dry_run, "files": list(found)}))
        return
    for name in found:
        click.echo(visible(str(root / name)))
    words = "would be written" if dry_run else "written. Read README.md there, then commit the files"
    click.echo(visible(f"{root}: {len(found)} files {words}."))
