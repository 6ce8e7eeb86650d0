"""The reactions of the chief to servers that do not answer, and its log lines."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from tests.unit.trainer.conftest import Clock
from trainer.peers.health import PS_PATIENCE, WORKER_PATIENCE, ServerHealthMonitor, cut_connections
from trainer.peers.probe import SILENT, probe
from trainer.runtime import descriptors
from trainer.runtime.errors import GaveUp, LostPeer

REFUSED = "connection refused"
NO_ROUTE = os.strerror(errno.EHOSTUNREACH)


class Servers:
    """Two ps and two workers whose answers the test sets."""

    def __init__(self, clock: Clock) -> None:
        self.answers: dict[str, str | None] = {"p0": None, "p1": None, "w0": None, "w1": None}
        self.cut: list[str] = []
        self.watch = ServerHealthMonitor(
            {"ps-0": "p0", "ps-1": "p1"}, {"worker-0": "w0", "worker-1": "w1"},
            orphan_timeout=60, probe=lambda address: self.answers[address], cut=self._cut, clock=clock,
        )  # fmt: skip

    def _cut(self, address: str) -> int:
        self.cut.append(address)
        return 1

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.watch.poll()
            self.watch.cut()


@pytest.fixture
def servers(clock: Clock) -> Servers:
    return Servers(clock)


@pytest.mark.parametrize("reason", [SILENT, NO_ROUTE])
def test_connections_of_an_unresponsive_worker_are_cut_until_it_answers(
    servers: Servers, lines: list[str], reason: str
) -> None:
    servers.answers["w1"] = reason
    servers.poll(WORKER_PATIENCE - 1)
    assert servers.cut == [], "a single probe may fail on a busy machine"
    servers.poll(3)
    assert servers.cut == ["w1"] * 3
    servers.answers["w1"] = "hung up"
    servers.poll()
    assert servers.cut == ["w1"] * 4, "the cut itself closed the connection"
    servers.answers["w1"] = None
    servers.poll()
    assert servers.cut == ["w1"] * 4
    assert [f"is unresponsive: {reason}" in lines[0], "answers again" in lines[1], len(lines)] == [True, True, 2]


def test_unresponsive_ps_is_a_lost_peer(servers: Servers) -> None:
    servers.answers["p1"] = SILENT
    servers.poll(PS_PATIENCE - 1)
    servers.answers["p1"] = None
    servers.poll()
    servers.answers["p1"] = SILENT
    servers.poll(PS_PATIENCE - 1)
    with pytest.raises(LostPeer, match="ps-1 is unresponsive"):
        servers.poll()


def test_ps_on_a_lost_host_is_a_lost_peer_whether_its_address_is_silent_or_has_no_route(servers: Servers) -> None:
    for reason in (SILENT, NO_ROUTE, SILENT):
        servers.answers["p1"] = reason
        servers.poll()
    servers.answers["p1"] = NO_ROUTE
    with pytest.raises(LostPeer, match="ps-1 is unresponsive: No route to host"):
        servers.poll()


def test_probe_names_a_host_without_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(*_: object, **__: object) -> None:
        raise OSError(errno.EHOSTUNREACH, NO_ROUTE)

    monkeypatch.setattr(socket, "create_connection", no_route)
    assert probe("10.0.0.1:2222") == NO_ROUTE


def test_servers_that_refuse_connections_are_not_cut(servers: Servers) -> None:
    servers.answers.update(p0=REFUSED, w0=REFUSED)
    servers.poll(20)
    assert servers.cut == []


@pytest.mark.parametrize("reason", [REFUSED, SILENT])
def test_run_without_an_answering_worker_gives_up_after_the_orphan_timeout(
    servers: Servers, clock: Clock, reason: str, lines: list[str]
) -> None:
    servers.answers.update(w0=reason, w1=reason)
    servers.poll()
    clock.sleep(59)
    servers.poll()
    clock.sleep(1)
    with pytest.raises(GaveUp, match="no worker has answered for 60 s: worker-0, worker-1"):
        servers.poll()


def test_health_thread_ends_the_process_once(servers: Servers) -> None:
    servers.answers["p0"] = SILENT
    errors: list[Exception] = []
    beats: list[int] = []
    done = threading.Event()
    servers.watch.start(lambda error: (errors.append(error), done.set()), lambda: beats.append(1), every=0.01)
    assert done.wait(10)
    assert len(beats) == PS_PATIENCE, "the watchdog receives a byte in every round"
    assert [type(error) for error in errors] == [LostPeer]


def test_listener_that_never_accepts_does_not_count_as_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert probe(address, timeout=0.2) == SILENT
        connection, _ = server.accept()
        connection.close()


def test_probe_accepts_any_byte_and_returns_hung_up_for_a_closed_connection() -> None:
    def serve(word: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with server, server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(word)

        threading.Thread(target=run, daemon=True).start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    assert probe(serve(b"\0"), hung_up="hung up") is None
    assert probe(serve(b""), hung_up="hung up") == "hung up"
    assert probe(serve(b"")) is None


@pytest.mark.parametrize("folder", [descriptors.FOLDER, Path("/dev/fd")])
def test_only_connections_to_the_given_address_are_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "FOLDER", folder)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{one.getsockname()[1]}"
        first, second = (socket.create_connection(each.getsockname()) for each in (one, other))
        with first, second, one.accept()[0] as far, other.accept()[0] as farther:
            assert cut_connections(address) == 1
            assert far.recv(1) == b""
            second.sendall(b"x")
            assert farther.recv(1) == b"x"
            assert cut_connections("no-such-host.invalid:1") == 0
