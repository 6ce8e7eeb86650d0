"""The workbench in a browser: no entry without the token. `make workbench-test`."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chromium import NEEDED, chromium, sync_api

ROOT = Path(__file__).resolve().parents[3]
TFD = ROOT / ".venv" / "bin" / "tfd"
CACHE = os.environ.get("TFD_CACHE", str(Path.home() / ".cache" / "tf-distributed"))
SLOW = 180_000  # Milliseconds: TensorFlow starts several times, perhaps on a busy machine.

pytestmark = [
    *NEEDED,
    pytest.mark.skipif(not (ROOT / ".venv-workbench").exists(), reason=".venv-workbench is missing: run tfd workbench"),
]


@dataclass(frozen=True)
class Workbench:
    editor: str
    board: str
    token: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workbench with a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    ports = ["--port", str(free_port()), "--tensorboard-port", str(free_port())]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER_")}
    # An empty home folder, so that no setting of the user changes what the tests see.
    process = subprocess.Popen(
        [TFD, "workbench", "--dir", home, *ports],
        env=environment | {"HOME": str(tmp_path_factory.mktemp("user")), "TFD_CACHE": CACHE},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    addresses: list[str] = []
    for line in process.stdout:
        addresses += re.findall(r"^(?:JupyterLab|TensorBoard) +(\S+)$", line)
        if len(addresses) == 2:
            break
    [editor, token], [board, _] = (address.split("?token=") for address in addresses)
    yield Workbench(editor, board, token)
    process.terminate()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: "sync_api.Browser") -> Iterator["sync_api.Page"]:
    """A page without cookies."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SLOW)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("query", ["", "?token=wrong"])
def test_wrong_token_opens_nothing(workbench: Workbench, page: "sync_api.Page", query: str) -> None:
    page.goto(workbench.editor + query)
    assert "/login" in page.url
    assert page.locator("#jp-main-dock-panel").count() == 0
    answer = page.goto(workbench.board + query)
    assert answer is not None and answer.status == 403
    assert "expected the token of the workbench" in page.content()


def test_token_opens_both(workbench: Workbench, page: "sync_api.Page") -> None:
    page.goto(f"{workbench.editor}/tree/1-hello-world.ipynb?token={workbench.token}")
    page.locator(".jp-NotebookPanel").wait_for()
    page.goto(f"{workbench.board}?token={workbench.token}#graphs")
    assert workbench.token not in page.url
    page.get_by_text("TensorBoard").first.wait_for()
