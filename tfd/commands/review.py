"""`tfd review`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfd.commands.options import UNABLE
from tfd.jobfile.helm import HelmError
from tfd.jobfile.registry import RegistryError
from tfd.review.analysis.policy_file import RulesError
from tfd.review.analysis.pull_request import review_pull_request
from tfd.review.output import comment, json_report
from tfd.review.output.redaction import Redactor
from tfd.review.sources.budget import ReviewError, failed
from tfd.review.sources.git import GitError, Repository
from tfd.text import json_text, visible

_EXPECTED = (GitError, RulesError, HelmError, RegistryError, ReviewError)


@click.command("review", short_help="Show the effect of merging a pull request.")
@click.option(
    "--base", required=True, metavar="REF", help="Commit to merge into. The review uses its chart and its review.yaml."
)
@click.option("--head", required=True, metavar="REF", help="Commit of the pull request.")
@click.option("--format", "style", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option(
    "--repo",
    "folder",
    default=Path(),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Git repository. Default: the repository of the current folder.",
)
@click.option(
    "--approved-by",
    "approvals",
    multiple=True,
    metavar="LOGIN",
    help="GitHub user who has approved the pull request. May be repeated.",
)
def command(base: str, head: str, style: str, folder: Path, approvals: tuple[str, ...]) -> None:
    """Show what merging HEAD into BASE does to the runs, and whether it may be merged.

    The command needs git and Helm, and no cluster. It needs the network only for charts of the registry in
    argocd/values.yaml. Nothing of HEAD is executed or checked out.

    \b
    Exit codes:
      0  The pull request may be merged.
      1  The pull request is refused.
      2  The effect of the merge cannot be judged.

    Example: tfd review --base origin/main --head HEAD
    """  # noqa: D301 - click reads the escape
    try:
        code, shown = _review(Repository(folder), base, head, style, approvals)
    except Exception as unexpected:
        error = unexpected if isinstance(unexpected, _EXPECTED) else failed(unexpected)
        if style == "markdown":
            click.echo(comment.failure(error))
        elif style == "json":
            click.echo(json_text(json_report.failure(error, UNABLE)))
        click.echo(visible(Redactor().hide(str(error)), lines=True), err=True)
        sys.exit(UNABLE)
    click.echo(shown, nl=False)
    sys.exit(code)


def _review(repository: Repository, base: str, head: str, style: str, approvals: tuple[str, ...]) -> tuple[int, str]:
    """Return the exit code and the whole output, so that an error while it is written leaves no half of it."""
    found = review_pull_request(repository, base, head, approvals)
    if style == "markdown":
        return found.exit_code, comment.comment(found)
    if style == "json":
        return found.exit_code, f"{json_text(json_report.as_json(found))}\n"
    return found.exit_code, "".join(f"{visible(line)}\n" for line in comment.lines(found))
