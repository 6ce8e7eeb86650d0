"""`tfd check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfd.commands.options import REFUSED, ending
from tfd.jobfile.helm import HelmError
from tfd.jobfile.jobfile import CheckError, JobFile, NoJobFileError, check, find
from tfd.kinds import FOLDERS, RUN, kind_of
from tfd.text import json_text


def _folders() -> list[Path]:
    """Return the folders of all kinds of files that exist here; that of job files if none does."""
    return [path for path in map(Path, FOLDERS) if path.is_dir()] or [Path(RUN.folder)]


@click.command("check", short_help="Check job files and workbench files.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "json_output", is_flag=True, help="Print problems and notes as a JSON list.")
def command(paths: tuple[Path, ...], json_output: bool) -> None:
    """Check job files and workbench files.

    Each problem is printed as `FILE:LINE:COLUMN: KEY: got VALUE; expected RULE. FIX.`

    PATHS are files, or folders that contain them. Default: jobs/ and workbenches/. A file is a workbench file if the
    folder above that of its team is workbenches/. A line with `note:` refuses nothing. It
    names a default that the author of a custom program may not expect.

    \b
    Exit codes:
      0  Every file is valid.
      1  At least one file is refused.
      2  No job file was found, Helm is missing, or the check itself failed.

    Example: tfd check jobs/vision
    """  # noqa: D301 - click reads the escape
    with ending(unable=(NoJobFileError, HelmError, CheckError)):
        files = [JobFile(path, kind_of(path.resolve()).shipped) for path in find(paths or _folders())]
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
