"""The idle end of the workbench, with the real JupyterLab. `make workbench-test`.

JupyterLab looks once a minute whether it is idle, so each test takes some minutes. The idle time leaves a slow machine
enough time to start a kernel.
"""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workbench.browser.start import TFD, WORKBENCH_PYTHON, environment, free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not WORKBENCH_PYTHON.exists(), reason=".venv-workbench is missing: run tfd workbench"),
]
LONGEST = 600
"""Seconds after which a test gives up."""
# Longer than the idle time and the minute between two looks of JupyterLab.
CODE = "import pathlib, time; time.sleep(200); pathlib.Path('computed').write_text('')"
EXECUTE = """
import json, sys, uuid, websocket
address, token, code = sys.argv[1:]
header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": uuid.uuid4().hex,
          "version": "5.3", "date": ""}
content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
socket = websocket.create_connection(address, header=[f"Authorization: token {token}"])
socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}))
while json.loads(socket.recv())["header"]["msg_type"] != "execute_input":
    pass
socket.close()
"""


class Workbench:
    """A workbench with an idle end, and requests to its JupyterLab."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        self.log = folder / "termination-log"
        self.port = free_port()
        options = ["--port", str(self.port), "--no-tensorboard", "--idle-after", "60s"]
        self.process = subprocess.Popen(
            [TFD, "workbench", "--dir", self.folder, *options],
            env=environment(folder / "user") | {"JUPYTER_TOKEN": "secret", "TFD_TERMINATION_LOG": str(self.log)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("The token is"):
                break

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            json.dumps(body).encode(),
            {"Authorization": "token secret", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def execute(self, kernel: str, code: str) -> None:
        """Start code in a kernel, and disconnect when it has begun, like a browser that is closed."""
        address = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels"
        subprocess.run([WORKBENCH_PYTHON, "-c", EXECUTE, address, "secret", code], check=True, timeout=LONGEST)

    def ended(self) -> tuple[int, str]:
        """Wait for the end, and return the exit code and the message for Kubernetes."""
        self.process.wait(timeout=LONGEST)
        return self.process.returncode, self.log.read_text()


@pytest.fixture
def workbench(tmp_path: Path) -> Iterator[Workbench]:
    started = Workbench(tmp_path)
    yield started
    started.process.kill()
    started.process.communicate()


def test_kernel_that_computes_holds_the_workbench_until_it_is_idle(workbench: Workbench) -> None:
    kernel = workbench.post("kernels", {"path": ""})
    workbench.execute(kernel["id"], CODE)
    code, message = workbench.ended()
    assert (workbench.folder / "computed").exists()
    assert code == 0
    assert message == "JupyterLab had no activity for 1:00, or was shut down from its menu, so the workbench ends."


def test_idle_terminal_does_not_hold_the_workbench(workbench: Workbench) -> None:
    assert workbench.post("terminals", {})["name"]
    assert workbench.ended()[0] == 0
