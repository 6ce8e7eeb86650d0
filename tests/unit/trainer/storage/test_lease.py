"""The lease on a run directory, with a clock that the test moves."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.trainer.conftest import Clock
from trainer.runtime.errors import ConfigError, LostLease
from trainer.storage.lease import Lease

STALE_AFTER = 10.0


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., Lease]:
    def lease(token: str, sleep: Callable[[float], object] = clock.sleep) -> Lease:
        return Lease(path=str(tmp_path / "lease.json"), token=token, stale_after=STALE_AFTER, sleep=sleep, clock=clock)

    return lease


def content(lease: Lease) -> dict[str, object]:
    return json.loads(Path(lease.path).read_text())  # type: ignore[no-any-return]


def test_chief_takes_a_free_lease_and_takes_its_own_lease_again(make: Callable[..., Lease], clock: Clock) -> None:
    started = clock()
    make("a").take()
    make("a").take()
    assert content(make("a"))["pid"] == os.getpid()
    assert clock() == started, "a free lease needs no wait"


def test_live_lease_refuses_a_new_chief(make: Callable[..., Lease], clock: Clock, lines: list[str]) -> None:
    first = make("a")
    first.take()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        first._write()

    with pytest.raises(ConfigError, match=r"another chief \(.*, process \d+\) is active; expected") as error:
        make("b", sleep).take()
    assert error.value.code == 2
    first.check()


def test_stale_lease_is_taken_over_after_the_timeout(
    make: Callable[..., Lease], clock: Clock, lines: list[str]
) -> None:
    first = make("a")
    first.take()
    started = clock()
    make("b").take()
    assert clock() - started >= STALE_AFTER
    assert lines[-1] == "the lease is stale: taking over"
    with pytest.raises(LostLease, match="another chief"):
        first.check()


def test_released_lease_is_free_at_once(make: Callable[..., Lease], clock: Clock, lines: list[str]) -> None:
    first = make("a")
    first.take()
    first.give_back()
    started = clock()
    make("b").take()
    assert clock() == started
    first.give_back()
    assert content(first)["token"] == "b", "a chief must not release the lease of another one"
    assert "cannot release" in lines[-1]


def test_lease_released_while_watched_is_free(make: Callable[..., Lease], clock: Clock, lines: list[str]) -> None:
    first = make("a")
    first.take()
    second = make("b", lambda _: first.give_back())
    second.take()
    second.check()


@pytest.mark.parametrize("text", ["", "\n", "{", "[]", "null"])
def test_malformed_lease_is_treated_as_free(make: Callable[..., Lease], text: str) -> None:
    lease = make("a")
    Path(lease.path).write_text(text)
    lease.take()
    lease.check()


def test_heartbeat_ends_when_another_chief_takes_over(make: Callable[..., Lease]) -> None:
    first, lost = make("a"), threading.Event()
    first.take()
    first.start(lambda error: lost.set(), every=0.01)
    begin = content(first)["beat"]
    while (json.loads(Path(first.path).read_text() or "{}")).get("beat", 0) < begin + 3:
        time.sleep(0.01)
    while not lost.wait(0.1):  # the first chief may have checked the lease just before
        Path(first.path).write_text(json.dumps({"token": "b", "host": "node-7", "pid": 1}))
    assert content(first)["token"] == "b"


def test_holder_that_cannot_renew_its_lease_for_the_limit_loses_it(
    make: Callable[..., Lease], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, lost = make("a"), threading.Event()
    lease.take()

    def fail() -> None:
        clock.sleep(2.0)
        raise OSError("no storage")

    monkeypatch.setattr(Lease, "check", lambda _: fail())
    lease.start(lambda error: lost.set(), every=0.001, limit=6.0)
    assert lost.wait(60)
