from __future__ import annotations

import socket

import pytest

from tests.loopback import LOOPBACKS, free_port
from tests.unit.trainer.conftest import Clock
from trainer.peers.barrier import Barrier, ReadinessListener, describe, probe, wait_for_all
from trainer.runtime.errors import GaveUp


@pytest.mark.parametrize("host", LOOPBACKS)
def test_readiness_listener_answers_until_close_and_then_frees_the_port(host: str) -> None:
    address = f"[{host}]:{free_port(host)}" if ":" in host else f"{host}:{free_port(host)}"
    assert probe(address) == "connection refused"
    presence = ReadinessListener(address)
    assert [probe(address) for _ in range(200)] == [None] * 200
    presence.close()
    assert probe(address) == "connection refused"
    ReadinessListener(address).close()


def test_readiness_listener_needs_no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    address = f"127.0.0.1:{free_port()}"
    presence = ReadinessListener(address)
    assert probe(address) is None
    presence.close()


def test_probe_of_an_unknown_host_reports_the_missing_dns_name() -> None:
    assert probe("no-such-host.invalid:2222") == "no DNS name"


def test_description_groups_tasks_by_reason_and_shortens_long_lists() -> None:
    missing = {f"worker-{i}": "no DNS name" for i in range(12)} | {"ps-0": "timeout"}
    text = describe(missing)
    assert text.startswith("worker-0, worker-1, ")
    assert "worker-9 and 2 more (no DNS name); ps-0 (timeout)" in text


def test_barrier_logs_after_five_seconds_and_then_every_minute(clock: Clock, lines: list[str]) -> None:
    barrier = Barrier({"ps-0": "a:1"}, timeout=200, probe=lambda _: "connection refused", clock=clock)
    with pytest.raises(GaveUp, match=r"gave up after 200 s: missing ps-0 \(connection refused\)"):
        barrier.wait(clock.sleep)
    assert len(lines) == 4
    assert lines[0] == "waiting for 1 of 1 tasks (0 ready, 5 s of 200 s): missing ps-0 (connection refused)"
    assert [line.split(", ")[1].split(" s of")[0] for line in lines] == ["5", "65", "125", "185"]


@pytest.mark.parametrize(
    ("absent", "passes"),
    [
        ({"w:0", "w:2"}, True),
        ({"w:0", "w:1", "w:2"}, False),
        ({"p:0"}, False),
        (set(), True),
    ],
    ids=["enough workers", "too few workers", "no ps", "all tasks"],
)
def test_barrier_waits_for_enough_optional_tasks(absent: set[str], passes: bool, clock: Clock) -> None:
    tasks = {"ps-0": "p:0", "worker-0": "w:0", "worker-1": "w:1", "worker-2": "w:2"}
    workers = [name for name in tasks if name != "ps-0"]
    answer = {address: "no DNS name" for address in absent}.get
    barrier = Barrier(tasks, timeout=100, optional=workers, spare=2, probe=answer, clock=clock)
    assert barrier.check() is passes
    assert {tasks[name] for name in barrier.missing} == absent


def test_task_that_has_answered_is_not_probed_again(clock: Clock) -> None:
    asked: list[str] = []

    def answer(address: str) -> str | None:
        asked.append(address)
        return None if address == "a:1" or len(asked) > 5 else "timeout"

    Barrier({"ps-0": "a:1", "ps-1": "b:1"}, timeout=100, probe=answer, clock=clock).wait(clock.sleep)
    assert asked.count("a:1") == 1


def test_time_before_an_in_place_restart_counts_toward_the_timeout(clock: Clock) -> None:
    barrier = Barrier({"ps-0": "a:1"}, timeout=100, waited=99.8, probe=lambda _: "timeout", clock=clock)
    start = clock.now
    with pytest.raises(GaveUp):
        barrier.wait(clock.sleep)
    assert clock.now - start <= 1


def test_barrier_without_tasks_returns_at_once(clock: Clock) -> None:
    wait_for_all(Barrier({}, timeout=1, clock=clock), None, clock.sleep)


def test_task_that_waits_answers_another_waiting_task(clock: Clock) -> None:
    mine, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    presence = ReadinessListener(other)
    wait_for_all(Barrier({"worker-1": other}, timeout=10), mine, clock.sleep)
    assert probe(mine) == "connection refused", "the port must be free for TensorFlow"
    presence.close()
