"""`tfd check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfd.commands.options import REFUSED, ending
from tfd.jobfile.helm import HelmError
from tfd.jobfile.jobfile import CheckError, JobFile, NoJobFileError, check, find
from tfd.text import json_text


@click.command("check", short_help="Check job files.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "json_output", is_flag=True, help="Print problems and notes as a JSON list.")
def command(paths: tuple[Path, ...], json_output: bool) -> None:
    """Check job files and print each problem as FILE:LINE:COLUMN: KEY: got VALUE; expected RULE. FIX.

    PATHS are job files, or folders that contain job files. Default: jobs/. A line with `note:` refuses nothing. It
    names a default that the author of a custom program may not expect.

    \b
    Exit codes:
      0  Every file is valid.
      1  At least one file is refused.
      2  No job file was found, Helm is missing, or the check itself failed.

    Example: tfd check jobs/vision
    """  # noqa: D301 - click reads the escape
    with ending(unable=(NoJobFileError, HelmError, CheckError)):
        files = [JobFile(path) for path in find(paths or (Path("jobs"),))]
        problems = check(files)
        refused = {problem.path for problem in problems}
        notes = [note for file in files if file.path not in refused for note in file.notes()]
    if json_output:
        click.echo(json_text([each.as_json() for each in [*problems, *notes]]))
    else:
        for each in [*problems, *notes]:
            click.echo(str(each))
        click.echo(f"{len(files)} checked, {len(refused)} refused", err=True)
    sys.exit(REFUSED if problems else 0)
