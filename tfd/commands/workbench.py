"""`tfd workbench`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from tfd.commands.options import ending
from tfd.jobfile.helm import HelmError
from tfd.text import refusal, shown
from tfd.workbench.environment import WorkbenchError, python
from tfd.workbench.programs import Program, Settings, check_ports, is_address, prepare, programs, token
from tfd.workbench.supervisor import Supervisor

TERMINATION_LOG = "TFD_TERMINATION_LOG"
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> int:
    """Return a time such as 90s, 30m or 2h in seconds, and 0 for none."""
    if value is None:
        return 0
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", value)
    if found is None:
        raise click.BadParameter(f"got {shown(value)}; expected a whole number above 0 with s, m or h.")
    return int(found[1]) * _UNITS[found[2]]


def _place(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return a folder that exists, or an address."""
    if value is not None and not is_address(value) and not Path(value).is_dir():
        raise click.BadParameter(f"got {shown(value)}; expected a folder that exists, or an address.")
    return value


def _lines(started: list[Program], key: str, *, new: bool) -> str:
    """Return the lines with the addresses. A token that the user gave is a secret and stays out of the log."""
    lines = [f"{each.name:12} {each.address}?token={key if new else '...'}" for each in started]
    words = "Ctrl-C ends the workbench."
    return "\n".join([*lines, words if new else f"The token is that of JUPYTER_TOKEN(_FILE). {words}"])


def _say(text: str) -> None:
    """Print why the workbench ends, and give Kubernetes the message of the pod."""
    click.echo(text, err=True)
    if log := os.environ.get(TERMINATION_LOG):
        Path(log).write_text(text, encoding="utf-8")


def _refuse(*, editor: bool, tensorboard: bool, idle: int) -> None:
    """Refuse options that have no effect together."""
    if not editor and not tensorboard:
        fix = "Remove --no-editor or --no-tensorboard."
        raise WorkbenchError(refusal("--no-tensorboard", "--no-editor too", "at least one program", fix))
    if not editor and idle:
        rule = "no time with --no-editor, because only JupyterLab knows about activity"
        raise WorkbenchError(refusal("--idle-after", f"{idle} s", rule, "Remove --idle-after or --no-editor."))


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
    "--runs", callback=_place, help="Folder or gs:// address of the runs of your team, which TensorBoard shows too."
)
@click.option("--editor/--no-editor", default=True, show_default=True, help="Start JupyterLab.")
@click.option("--tensorboard/--no-tensorboard", default=True, show_default=True, help="Start TensorBoard.")
@click.option("--port", default=8888, show_default=True, type=click.IntRange(1, 65535), help="Port of JupyterLab.")
@click.option(
    "--tensorboard-port", default=6006, show_default=True, type=click.IntRange(1, 65535), help="Port of TensorBoard."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address on which both listen, or * for all.")
@click.option(
    "--idle-after",
    "idle",
    metavar="TIME",
    callback=_seconds,
    help="End kernels, terminals and then the workbench after this time without activity, for example 2h.",
)
def command(
    folder: Path,
    runs: str | None,
    editor: bool,
    tensorboard: bool,
    port: int,
    tensorboard_port: int,
    host: str,
    idle: int,
) -> None:
    """Start JupyterLab and TensorBoard on this machine, until Ctrl-C.

    Both need a token. JUPYTER_TOKEN sets it, or JUPYTER_TOKEN_FILE names a file with it. Otherwise the token is new
    and part of the printed addresses. In a checkout, the first start installs the packages of the workbench.

    \b
    Exit codes:
      0   Stopped with Ctrl-C or SIGTERM, from the menu of JupyterLab, or after --idle-after.
      1   A program answered without the token, or the start is refused.
      2   Helm is missing, or an option is wrong.
      75  JupyterLab or TensorBoard ended by itself.

    Example: tfd workbench --runs runs
    """  # noqa: D301 - click reads the escape
    settings = Settings(
        folder.expanduser(), runs, host, port if editor else None, tensorboard_port if tensorboard else None, idle
    )
    with ending(refused=(WorkbenchError,), unable=(HelmError,)):
        _refuse(editor=editor, tensorboard=tensorboard, idle=idle)
        key, new = token(os.environ)
        check_ports(settings)
        started = programs(settings, python(), key)
        prepare(settings)
    supervisor = Supervisor(started, _say)
    sys.exit(supervisor.run(lambda: click.echo(_lines(started, key, new=new))))
