"""`tfd review`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfd.commands.options import UNABLE
from tfd.jobfile.helm import HelmError
from tfd.review.analysis.policy_file import RulesError
from tfd.review.analysis.pull_request import review_pull_request
from tfd.review.output import report
from tfd.review.output.markdown import visible
from tfd.review.sources.git import GitError, Repository


@click.command("review")
@click.option("--base", required=True, metavar="REF", help="Commit to merge into. Its chart and its review.yaml apply.")
@click.option("--head", required=True, metavar="REF", help="Commit of the pull request.")
@click.option("--format", "style", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option(
    "--repo",
    "folder",
    default=Path(),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Git repository. Default: the one of this folder.",
)
@click.option(
    "--approved-by", "approvals", multiple=True, metavar="LOGIN", help="User who has approved. May be repeated."
)
def command(base: str, head: str, style: str, folder: Path, approvals: tuple[str, ...]) -> None:
    """Show what merging HEAD into BASE does to the runs, and whether it may be merged.

    The command needs git and Helm, no cluster and no network. Nothing of HEAD is executed or checked out.

    \b
    Exit codes:
      0  The pull request may be merged.
      1  The pull request is refused.
      2  The review could not be made.

    Example: tfd review --base origin/main --head HEAD
    """  # noqa: D301 - click reads the escape
    try:
        found = review_pull_request(Repository(folder), base, head, approvals)
    except (GitError, RulesError, HelmError) as error:
        click.echo(report.of_failure(str(error), style, UNABLE), nl=False)
        click.echo(visible(str(error), lines=True), err=True)
        sys.exit(UNABLE)
    click.echo(report.of_review(found, style), nl=False)
    sys.exit(found.exit_code)
