"""`tfd review`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tfd.jobfile import helm
from tfd.review.analysis.policy_file import RulesError
from tfd.review.analysis.pull_request import review_pull_request
from tfd.review.output.comment import MARKER, comment, lines
from tfd.review.output.json_report import as_json
from tfd.review.output.markdown import code, visible
from tfd.review.sources.git import GitError, Repository

CANT_TELL = 2


@click.command()
@click.option("--base", required=True, metavar="REF", help="Commit that is merged into; its chart and rules count.")
@click.option("--head", required=True, metavar="REF", help="Commit of the pull request.")
@click.option("--format", "style", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option(
    "--repo",
    "folder",
    default=Path(),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Git repository; default: the one of this folder.",
)
@click.option("--approved-by", "approvals", multiple=True, metavar="LOGIN", help="Who has approved; may be repeated.")
def review(base: str, head: str, style: str, folder: Path, approvals: tuple[str, ...]) -> None:
    """Show what merging HEAD into BASE does to the runs, and whether it may be merged.

    Needs git and helm, no cluster and no network. Nothing of HEAD is executed or checked out.

    Exits with 0 when it may be merged, with 1 when it is refused, and with 2 when that can't be told.
    """
    try:
        found = review_pull_request(Repository(folder), base, head, approvals)
    except (GitError, RulesError, helm.HelmError) as error:
        if style == "markdown":
            click.echo(f"{MARKER}\n### ❔ Cannot judge the effect of this merge\n\n{code(error, 1000)}")
        elif style == "json":
            click.echo(json.dumps({"exitCode": CANT_TELL, "headline": str(error)}, indent=1))
        click.echo(visible(str(error), lines=True), err=True)
        sys.exit(CANT_TELL)
    if style == "markdown":
        click.echo(comment(found), nl=False)
    elif style == "json":
        click.echo(
            json.dumps(
                as_json(found),
                indent=1,
            )
        )
    else:
        for line in lines(found):
            click.echo(visible(line))
    sys.exit(found.exit_code)
