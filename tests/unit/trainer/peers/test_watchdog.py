"""The watchdog kills a chief that TensorFlow blocks, and no other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import containers
from trainer.peers import watchdog
from trainer.peers.watchdog import WatchdogConfig

# A chief that writes one byte to its watchdog, and then holds the global interpreter lock as TensorFlow does.
# ctypes.PyDLL keeps the lock during a call.
CHIEF = """
import ctypes, sys
from trainer.peers.watchdog import WatchdogConfig, Watchdog
from trainer.runtime.process_1 import leave_process_1

leave_process_1()
address, log, frozen_after, frozen = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
config = WatchdogConfig(
    task="chief-0", servers={"ps-0": address}, log_format="text", termination_log=log, frozen_after=frozen_after
)
watchdog = Watchdog(config)
watchdog.beat()
ctypes.PyDLL(None).sleep(frozen)
watchdog.close()
print("closed")
"""


def chief(address: str, log: Path, *, frozen_after: float, frozen: int) -> subprocess.CompletedProcess[str]:
    """Run a chief that blocks for `frozen` seconds, with a watchdog that waits `frozen_after` seconds for a byte."""
    command = [sys.executable, "-c", CHIEF, address, str(log), str(frozen_after), str(frozen)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as each:
        yield each


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The write end of the pipe that `watch` reads in this process."""
    reader, writer = os.pipe()
    monkeypatch.setattr(watchdog, "_BEATS", reader)
    yield writer
    os.close(reader)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that `watch` kills in this process."""
    pids: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: pids.append(pid))
    return pids


def address_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def config(address: str) -> WatchdogConfig:
    return WatchdogConfig(
        task="chief-0", servers={"ps-0": address}, log_format="text", termination_log=None, frozen_after=0.01
    )


def test_frozen_chief_is_killed_when_a_server_is_unresponsive(server: socket.socket, tmp_path: Path) -> None:
    ended = chief(address_of(server), tmp_path / "log", frozen_after=0.2, frozen=280)
    assert ended.returncode == -signal.SIGKILL, ended
    assert "chief-0 exit 137: ps-0 is unresponsive: it does not answer" in ended.stderr
    result = json.loads((tmp_path / "log").read_text())
    assert result["exitCode"] == 137
    assert result["message"].startswith("ps-0 is unresponsive")


def test_frozen_chief_is_killed_in_a_container_too(server: socket.socket, tmp_path: Path) -> None:
    ended = containers.python("-c", CHIEF, address_of(server), str(tmp_path / "log"), "0.2", "90")
    assert ended.returncode == 128 + signal.SIGKILL, ended
    assert json.loads((tmp_path / "log").read_text())["exitCode"] == 137


def test_chief_exits_normally_after_it_has_closed_its_watchdog(server: socket.socket, tmp_path: Path) -> None:
    ended = chief(address_of(server), tmp_path / "log", frozen_after=300, frozen=0)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")
    assert not (tmp_path / "log").exists()


def test_chief_that_writes_a_byte_during_the_probe_is_not_killed(
    pipe: int, killed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: list[str] = []

    def probe(address: str) -> bool:
        probed.append(address)
        os.write(pipe, b".")
        if len(probed) == 3:
            os.close(pipe)
        return True

    monkeypatch.setattr(watchdog, "_is_unresponsive", probe)
    watchdog.watch(config("ps:2222"), os.getpid())
    assert probed == ["ps:2222"] * 3
    assert killed == []


def test_frozen_chief_is_not_killed_when_all_servers_answer(
    server: socket.socket, pipe: int, killed: list[int]
) -> None:
    answered: list[bool] = []

    def answer() -> None:
        for _ in range(3):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\0")
            answered.append(True)
        os.close(pipe)
        with contextlib.suppress(OSError):  # The fixture closes the server at the end of the test.
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"\0")

    threading.Thread(target=answer, daemon=True).start()
    watchdog.watch(config(address_of(server)), os.getpid())
    assert answered == [True] * 3
    assert killed == []
