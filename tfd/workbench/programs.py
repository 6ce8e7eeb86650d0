"""The two programs of a workbench: JupyterLab and TensorBoard, with one token."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfd import assets
from tfd.jobfile.helm import find_helm
from tfd.text import duration, refusal
from tfd.workbench.environment import WorkbenchError

TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "JUPYTER_TOKEN_FILE"  # noqa: S105 - the name of a variable
EVERY_ADDRESS = "*"
_LINKS = ".tensorboard"
_IPV6 = Path("/proc/net/if_inet6")
_CHECKS = 10
"""Checks for idle kernels and terminals per idle time, so that they end at most a tenth later."""
_LONGEST_INTERVAL = 60
"""Seconds between two checks. JupyterLab checks itself as often."""


@dataclass(frozen=True)
class Program:
    """A program of the workbench."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    """Where a browser finds it, without the token."""
    ready: str
    """What answers without the token when the program is ready."""
    protected: str
    """What must refuse a request without the token."""
    end: str = ""
    """What its end with exit code 0 means; empty if it never ends like that by itself."""


@dataclass(frozen=True)
class Settings:
    """What the user chooses."""

    folder: Path
    """Folder of notebooks, logs and local runs."""
    runs: str | None
    """Folder with the run directories of the team, or an address such as gs://BUCKET/FOLDER."""
    host: str
    """Address on which the programs listen, or EVERY_ADDRESS."""
    port: int | None
    """Port of JupyterLab, or None for a workbench without it."""
    tensorboard_port: int | None
    """Port of TensorBoard, or None for a workbench without it."""
    idle: int = 0
    """Seconds without activity after which JupyterLab ends, or 0 for never."""


def token(environment: Mapping[str, str]) -> tuple[str, bool]:
    """Return the token of both programs, and whether it is new.

    Raises:
        WorkbenchError: the file of JUPYTER_TOKEN_FILE has no token.

    """
    if given := environment.get(TOKEN, "").strip():
        return given, False
    if name := environment.get(TOKEN_FILE, ""):
        try:
            read = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            got = f"an unreadable file ({type(error).__name__})"
            raise WorkbenchError(refusal(TOKEN_FILE, got, "a file with a token", "Write the token to it.")) from None
        if not read:
            fix = "Write the token to it."
            raise WorkbenchError(refusal(TOKEN_FILE, "an empty file", "a file with a token", fix))
        return read, False
    return secrets.token_hex(24), True


def prepare(settings: Settings) -> None:
    """Create the folder, copy the notebooks that it lacks, and link what TensorBoard shows.

    A notebook that exists stays as it is, because it belongs to the user. TensorBoard recommends a tree of links to
    show several folders.
    """
    links = settings.folder / _LINKS
    for each in (settings.folder / "logs", settings.folder / "runs", links):
        each.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(assets.NOTEBOOKS.glob("*.ipynb")):
        if not (target := settings.folder / notebook.name).exists():
            # The mode of the source may be read-only, as in an image.
            target.write_bytes(notebook.read_bytes())
    shown = _shown(settings)
    for name in ("logs", "runs", "team"):
        (links / name).unlink(missing_ok=True)
        if name in shown and not is_address(shown[name]):
            (links / name).symlink_to(Path(shown[name]).resolve(), target_is_directory=True)


def programs(settings: Settings, python: Path, key: str) -> list[Program]:
    """Return the programs that the workbench starts with a Python environment and a token.

    Raises:
        HelmError: Helm is missing, which `tfd` needs in the notebooks.

    """
    helm = Path(find_helm()).parent
    path = os.pathsep.join([str(python.parent), str(helm), os.environ.get("PATH", os.defpath)])
    # TensorFlow then prints only warnings and errors in the notebooks.
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2"} | os.environ | {"PATH": path, TOKEN: key}
    environment.pop(TOKEN_FILE, None)
    # Settings of JupyterLab that the user can change: it does not ask for news from the internet.
    configs = [str(assets.JUPYTER_CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, configs))
    found = []
    if settings.port is not None:
        found.append(_editor(settings, settings.port, python, environment))
    if settings.tensorboard_port is not None:
        found.append(_board(settings, settings.tensorboard_port, python, environment))
    return found


def check_ports(settings: Settings) -> None:
    """Refuse a port that another program has."""
    ports = {"--port": settings.port, "--tensorboard-port": settings.tensorboard_port}
    for option, port in ((option, port) for option, port in ports.items() if port is not None):
        host = "" if settings.host == EVERY_ADDRESS else settings.host
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                got = f"{port} ({error.strerror})"
                raise WorkbenchError(refusal(option, got, "a free port", f"Set {option} to another port.")) from None


def is_address(runs: str) -> bool:
    """Return whether runs are in a bucket, and not in a folder."""
    return "://" in runs


def _editor(settings: Settings, port: int, python: Path, environment: Mapping[str, str]) -> Program:
    address = f"http://{_visible(settings.host)}:{port}"
    command = (
        str(python), "-m", "jupyterlab", "--no-browser", "--Application.log_level=ERROR",
        f"--ServerApp.ip={settings.host}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={settings.folder.resolve()}",
        # A root user in a container, or of this machine, may start it: the token protects it.
        "--ServerApp.allow_root=True",
        # Nothing is fetched from the internet.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None",
        *_idle_end(settings.idle),
    )  # fmt: skip
    end = "was shut down from its menu"
    if settings.idle:
        end = f"had no activity for {duration(settings.idle)}, or {end}"
    return Program(
        "JupyterLab", command, environment, f"{address}/lab", f"{address}/api", f"{address}/api/contents", end
    )


def _idle_end(seconds: int) -> Iterator[str]:
    """Yield the options with which JupyterLab ends idle kernels and terminals, and then itself.

    A kernel that computes is never idle. A kernel with an open notebook may be, because a browser stays open overnight.
    """
    if seconds:
        interval = max(1, min(seconds // _CHECKS, _LONGEST_INTERVAL))
        for manager, timeout in (("MappingKernelManager", "cull_idle"), ("TerminalManager", "cull_inactive")):
            yield f"--{manager}.{timeout}_timeout={seconds}"
            yield f"--{manager}.cull_interval={interval}"
        yield "--MappingKernelManager.cull_connected=True"
        yield f"--ServerApp.shutdown_no_activity_timeout={seconds}"


def _board(settings: Settings, port: int, python: Path, environment: Mapping[str, str]) -> Program:
    address = f"http://{_visible(settings.host)}:{port}"
    host: tuple[str, ...] = ("--host", settings.host)
    if settings.host == EVERY_ADDRESS:
        # TensorBoard needs the IPv6 of the kernel for --bind_all.
        host = ("--bind_all",) if _IPV6.exists() else ("--host", "0.0.0.0")  # noqa: S104 - behind the token
    shown = _shown(settings)
    logs = ("--logdir", str((settings.folder / _LINKS).resolve()))
    if any(map(is_address, shown.values())):
        # No link points into a bucket.
        logs = ("--logdir_spec", ",".join(f"{name}:{where}" for name, where in shown.items()))
    module = (str(python), "-m", "tfd.workbench.tensorboard")
    command = (*module, *logs, *host, "--port", str(port), "--reload_interval", "5")
    # TensorBoard computes nothing, and must leave the GPUs to the notebooks.
    without_gpus = {**environment, "CUDA_VISIBLE_DEVICES": "-1"}
    return Program("TensorBoard", command, without_gpus, f"{address}/", address, address)


def _shown(settings: Settings) -> dict[str, str]:
    """Return what TensorBoard shows, by name."""
    shown = {name: str((settings.folder / name).resolve()) for name in ("logs", "runs")}
    return shown | ({"team": settings.runs} if settings.runs else {})


def _visible(host: str) -> str:
    """Return the host for an address in a browser of this machine."""
    if host in {EVERY_ADDRESS, "0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
