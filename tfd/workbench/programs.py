"""The two programs of a workbench: JupyterLab and TensorBoard, with one token."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfd import assets
from tfd.jobfile.helm import find_helm
from tfd.text import refusal
from tfd.workbench.environment import WorkbenchError

TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "JUPYTER_TOKEN_FILE"  # noqa: S105 - the name of a variable
_LINKS = ".tensorboard"


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


@dataclass(frozen=True)
class Settings:
    """What the user chooses."""

    folder: Path
    """Folder of notebooks, logs and local runs."""
    runs: Path | None
    """Folder with the run directories of the team."""
    host: str
    port: int
    tensorboard_port: int


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
    shown = {"logs": settings.folder / "logs", "runs": settings.folder / "runs", "team": settings.runs}
    for name, folder in shown.items():
        (links / name).unlink(missing_ok=True)
        if folder is not None:
            (links / name).symlink_to(folder.resolve(), target_is_directory=True)


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
    browser = _visible(settings.host)
    editor, board = (f"http://{browser}:{port}" for port in (settings.port, settings.tensorboard_port))
    jupyter = (
        str(python), "-m", "jupyterlab", "--no-browser", "--Application.log_level=ERROR",
        f"--ServerApp.ip={settings.host}", f"--ServerApp.port={settings.port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={settings.folder.resolve()}",
        # A root user in a container, or of this machine, may start it: the token protects it.
        "--ServerApp.allow_root=True",
        # Nothing is fetched from the internet.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None",
    )  # fmt: skip
    links = settings.folder / _LINKS
    tensorboard = (
        str(python), "-m", "tfd.workbench.tensorboard",
        str(links.resolve()), settings.host, str(settings.tensorboard_port),
    )  # fmt: skip
    return [
        Program("JupyterLab", jupyter, environment, f"{editor}/lab", f"{editor}/api", f"{editor}/api/contents"),
        # TensorBoard computes nothing, and must leave the GPUs to the notebooks.
        Program("TensorBoard", tensorboard, environment | {"CUDA_VISIBLE_DEVICES": "-1"}, f"{board}/", board, board),
    ]


def check_ports(settings: Settings) -> None:
    """Refuse a port that another program has."""
    for option, port in (("--port", settings.port), ("--tensorboard-port", settings.tensorboard_port)):
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                got = f"{port} ({error.strerror})"
                raise WorkbenchError(refusal(option, got, "a free port", f"Set {option} to another port.")) from None


def _visible(host: str) -> str:
    """Return the host for an address in a browser of this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
