"""The watchdog ends a chief that TensorFlow has frozen, and no other."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# A chief that beats for a while and then holds Python's lock, as TensorFlow does: PyDLL does not release it.
CHIEF = """
import ctypes, sys, time
from trainer.peers.watchdog import WatchdogConfig, Watchdog

address, log, beats, frozen = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
config = WatchdogConfig(
    task="chief-0", servers={"ps-0": address}, log_format="text", termination_log=log, frozen_after=1.0
)
watchdog = Watchdog(config)
for _ in range(beats):
    watchdog.beat()
    time.sleep(0.2)
ctypes.PyDLL(None).sleep(frozen)
watchdog.close()
print("closed")
"""


def chief(address: str, log: Path, *, beats: int, frozen: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHIEF, address, str(log), str(beats), str(frozen)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as each:
        yield each


def address_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_frozen_chief_is_killed_when_a_server_hangs(server: socket.socket, tmp_path: Path) -> None:
    ended = chief(address_of(server), tmp_path / "log", beats=5, frozen=100)
    assert ended.returncode == -signal.SIGKILL, ended
    assert "chief-0 exit 137: ps-0 is unresponsive: it accepts connections but does not answer" in ended.stderr
    result = json.loads((tmp_path / "log").read_text())
    assert result["exitCode"] == 137
    assert result["message"].startswith("ps-0 is unresponsive")


def test_a_chief_that_is_not_frozen_goes_on(server: socket.socket, tmp_path: Path) -> None:
    ended = chief(address_of(server), tmp_path / "log", beats=50, frozen=0)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")
    assert not (tmp_path / "log").exists()


def test_a_chief_that_is_busy_with_servers_that_answer_goes_on(server: socket.socket, tmp_path: Path) -> None:
    def answer() -> None:
        with contextlib.suppress(OSError):  # closed at the end of the test
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"\0")

    threading.Thread(target=answer, daemon=True).start()
    ended = chief(address_of(server), tmp_path / "log", beats=1, frozen=9)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")
