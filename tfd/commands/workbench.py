"""`tfd workbench`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tfd.commands.options import ending
from tfd.jobfile.helm import HelmError
from tfd.workbench.environment import WorkbenchError, python
from tfd.workbench.programs import Program, Settings, check_ports, prepare, programs, token
from tfd.workbench.supervisor import Supervisor


def _lines(started: list[Program], key: str, *, new: bool) -> str:
    """Return the lines with the addresses. A token that the user gave is a secret and stays out of the log."""
    lines = [f"{each.name:12} {each.address}?token={key if new else '...'}" for each in started]
    words = "Ctrl-C ends both." if new else "The token is that of JUPYTER_TOKEN(_FILE). Ctrl-C ends both."
    return "\n".join([*lines, words])


@click.command("workbench", short_help="Start JupyterLab and TensorBoard on this machine.")
@click.option(
    "--dir",
    "folder",
    default=Path("~/workbench"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of your notebooks. It gets the notebooks that come with tfd, and TensorBoard shows DIR/logs and "
    "DIR/runs.",
)
@click.option(
    "--runs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the run directories of your team, which TensorBoard shows too.",
)
@click.option("--port", default=8888, show_default=True, type=click.IntRange(1, 65535), help="Port of JupyterLab.")
@click.option(
    "--tensorboard-port", default=6006, show_default=True, type=click.IntRange(1, 65535), help="Port of TensorBoard."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address on which both listen.")
def command(folder: Path, runs: Path | None, port: int, tensorboard_port: int, host: str) -> None:
    """Start JupyterLab and TensorBoard on this machine, until Ctrl-C.

    Both need a token. JUPYTER_TOKEN sets it, or JUPYTER_TOKEN_FILE names a file with it. Otherwise the token is new
    and part of the printed addresses. In a checkout, the first start installs the packages of the workbench.

    \b
    Exit codes:
      0  Stopped with Ctrl-C or SIGTERM.
      1  JupyterLab or TensorBoard ended, or the start is refused.
      2  Helm is missing.

    Example: tfd workbench --runs runs
    """  # noqa: D301 - click reads the escape
    settings = Settings(folder.expanduser(), runs, host, port, tensorboard_port)
    with ending(refused=(WorkbenchError,), unable=(HelmError,)):
        key, new = token(os.environ)
        check_ports(settings)
        started = programs(settings, python(), key)
        prepare(settings)
    supervisor = Supervisor(started, lambda text: click.echo(text, err=True))
    sys.exit(supervisor.run(lambda: click.echo(_lines(started, key, new=new))))
