"""The port of a worker that waits, and what others read from it."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread

import pytest

from tests.loopback import LOOPBACKS, free_port
from trainer.peers import beacon, members
from trainer.peers.beacon import Answer, Asker, Beacon
from trainer.peers.probe import SILENT, probe
from trainer.peers.rendezvous import Decision


def address(host: str) -> str:
    return f"[{host}]:{free_port(host)}" if ":" in host else f"{host}:{free_port(host)}"


@pytest.mark.parametrize("host", LOOPBACKS)
def test_worker_that_waits_answers_with_its_token_until_it_closes_the_port(host: str) -> None:
    where = address(host)
    waits = Beacon(where)
    assert beacon.ask(where) == Answer(starts=True)
    waits.wait_as("abc.1")
    assert Asker({3: where}).answers() == {3: Answer(token="abc.1")}
    assert probe(where) is None
    waits.close()
    assert beacon.ask(where) == Answer(missing="connection refused")
    Beacon(where).close()


def test_server_of_tensorflow_is_distinguished_from_a_worker_that_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for reply in (bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)), b""):
                connection, _ = server.accept()
                connection.sendall(reply)
                connection.recv(100)
                connection.close()

        thread = Thread(target=answer)
        thread.start()
        where = f"127.0.0.1:{server.getsockname()[1]}"
        assert beacon.ask(where) == Answer(trains=True)
        assert beacon.ask(where) == Answer(missing="hung up")
        thread.join()


def test_worker_that_hangs_does_not_delay_the_answers_of_the_others() -> None:
    where = address("127.0.0.1")
    waits = Beacon(where)
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        asker = Asker({0: where, 1: f"127.0.0.1:{hangs.getsockname()[1]}"})
        for token in ("abc.1", "abc.2"):
            waits.wait_as(token)
            assert asker.answers() == {0: Answer(token=token), 1: Answer(missing=SILENT)}
        asker.close()
    waits.close()


def test_decision_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / members.NAME)
    assert members.read(path) is None
    decision = Decision(leader=2, workers={0: "a.1", 2: "b.1"}, lease="b", expected=frozenset({0, 1, 2}))
    members.write(path, decision)
    assert members.read(path) == decision
    assert decision.group == (2, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"leader": 0}',
        '{"leader": 0, "lease": "a", "workers": {"x": "a"}}',
        '{"leader": 0, "lease": "a", "workers": ["0"]}',
        '{"leader": 0, "lease": "a", "workers": {"1": "a"}}',
        '{"leader": 0, "lease": "a", "workers": {"0": "a"}, "expected": 7}',
    ],
)
def test_malformed_decision_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / members.NAME).write_text(text)
    assert members.read(str(tmp_path / members.NAME)) is None
