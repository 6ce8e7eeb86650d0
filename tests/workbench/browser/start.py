"""What the browser tests start, and with which environment."""

import os
import re
import socket
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TFD = ROOT / ".venv" / "bin" / "tfd"
WORKBENCH_PYTHON = ROOT / ".venv-workbench" / "bin" / "python"
CACHE = os.environ.get("TFD_CACHE", str(Path.home() / ".cache" / "tf-distributed"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path) -> dict[str, str]:
    """Return an environment with an empty home folder, so that no setting of the user changes what the tests see."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER_")}
    return kept | {"HOME": str(home), "TFD_CACHE": CACHE}


def name_of(test: str) -> str:
    """Return a file name for a test."""
    return re.sub(r"[^a-z0-9]+", "-", test.lower()).strip("-")
