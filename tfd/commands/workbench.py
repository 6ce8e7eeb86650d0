"""`tfd workbench`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from tfd.commands.options import cluster, ending
from tfd.jobfile.helm import HelmError
from tfd.remote.workbench import Access, connect
from tfd.text import json_text, refusal, shown
from tfd.workbench.environment import WorkbenchError, python
from tfd.workbench.programs import Program, Settings, check_ports, is_address, prepare, programs, token
from tfd.workbench.supervisor import Supervisor

TERMINATION_LOG = "TFD_TERMINATION_LOG"
_HERE = {
    "folder": "--dir",
    "runs": "--runs",
    "editor": "--no-editor",
    "tensorboard": "--no-tensorboard",
    "host": "--host",
    "idle": "--idle-after",
}
"""The options of a workbench on this machine, by their names in Python."""
_CONNECTED = {"namespace": "--namespace", "json_output": "--json"}
"""The options of a workbench in the cluster."""
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


def _check_options(context: click.Context, workbench: str | None) -> None:
    """Refuse the options of the other way to start."""
    if workbench:
        others, got, rule = _HERE, "WORKBENCH as well", "one of the two"
    else:
        others, got, rule = _CONNECTED, "no WORKBENCH", "WORKBENCH as well"
    for name, option in others.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(refusal(option, got, rule, f"Remove {option}."))


def _connect(workbench: str, namespace: str | None, ports: dict[str, int | None], *, json_output: bool) -> None:
    """Make a workbench of the cluster ready, and forward its ports until Ctrl-C."""

    def ready(access: Access) -> None:
        if json_output:
            click.echo(json_text(access.as_json()))
            return
        for name, address in access.addresses.items():
            click.echo(f"{name:12} {address}{f'?token={access.token}' if access.token else ''}")
        click.echo("Ctrl-C ends the connection, not the workbench.")
        if access.why:
            click.echo(access.why, err=True)

    with cluster(workbench, namespace) as (kubectl, name):
        try:
            connect(kubectl, name, ports, lambda text: click.echo(text, err=True), ready)
        except KeyboardInterrupt:
            return


def _start(settings: Settings) -> None:
    """Start the workbench here, and exit with its exit code."""
    with ending(refused=(WorkbenchError,), unable=(HelmError,)):
        _refuse(editor=settings.port is not None, tensorboard=settings.tensorboard_port is not None, idle=settings.idle)
        key, new = token(os.environ)
        check_ports(settings)
        started = programs(settings, python(), key)
        prepare(settings)
    supervisor = Supervisor(started, _say)
    sys.exit(supervisor.run(lambda: click.echo(_lines(started, key, new=new))))


@click.command("workbench", short_help="Start JupyterLab and TensorBoard, here or in the cluster.")
@click.argument("workbench", required=False)
@click.option(
    "-n",
    "--namespace",
    help="Namespace of WORKBENCH. Default: the team in WORKBENCH, else that of the current context.",
)
@click.option("--json", "json_output", is_flag=True, help="With WORKBENCH, print the addresses and the token as JSON.")
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
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of JupyterLab. Default: 8888; with WORKBENCH, a free one."
)
@click.option(
    "--tensorboard-port",
    type=click.IntRange(1, 65535),
    help="Port of TensorBoard. Default: 6006; with WORKBENCH, a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address on which both listen, or * for all.")
@click.option(
    "--idle-after",
    "idle",
    metavar="TIME",
    callback=_seconds,
    help="End kernels, terminals and then the workbench after this time without activity, for example 2h.",
)
@click.pass_context
def command(
    context: click.Context,
    workbench: str | None,
    namespace: str | None,
    json_output: bool,
    folder: Path,
    runs: str | None,
    editor: bool,
    tensorboard: bool,
    port: int | None,
    tensorboard_port: int | None,
    host: str,
    idle: int,
) -> None:
    """Start JupyterLab and TensorBoard on this machine, until Ctrl-C.

    WORKBENCH is a workbench in the cluster: its name, TEAM/NAME or its file. The command then starts nothing here. It
    waits until the workbench is ready, and forwards its ports to ports that only this machine reaches. If a workbench
    of Argo CD has ended, the command starts it again. For one that Helm installed, it prints the Helm command. It uses
    `kubectl` with your own rights: to list Jobs, Services and pods, and to forward ports. Other rights are to get the
    Secret with the token, and to delete the Job of a workbench that has ended.

    Both need a token. JUPYTER_TOKEN sets it, or JUPYTER_TOKEN_FILE names a file with it. Otherwise the token is new
    and part of the printed addresses. In a checkout, the first start installs the packages of the workbench.

    \b
    Exit codes:
      0   Stopped with Ctrl-C or SIGTERM, from the menu of JupyterLab, or after --idle-after.
      1   A program answered without the token, the start is refused, or WORKBENCH does not exist or cannot start.
      2   Helm is missing, an option is wrong, the cluster did not answer, or the connection ended.
      75  JupyterLab or TensorBoard ended by itself.

    Example: tfd workbench vision/anna
    """  # noqa: D301 - click reads the escape
    _check_options(context, workbench)
    if workbench:
        _connect(workbench, namespace, {"editor": port, "tensorboard": tensorboard_port}, json_output=json_output)
        return
    editor_port = (port or 8888) if editor else None
    board_port = (tensorboard_port or 6006) if tensorboard else None
    _start(Settings(folder.expanduser(), runs, host, editor_port, board_port, idle))
