"""Who may write to a run directory, with a clock that the test moves."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.runtime.errors import ConfigError, LostLease
from trainer.storage.lease import STALE_AFTER, Lease

from .conftest import Clock


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., Lease]:
    def lease(token: str, sleep: Callable[[float], object] = clock.sleep) -> Lease:
        return Lease(path=str(tmp_path / "lease.json"), token=token, sleep=sleep, clock=clock)

    return lease


def content(lease: Lease) -> dict[str, object]:
    return json.loads(Path(lease.path).read_text())  # type: ignore[no-any-return]


def elsewhere(lease: Lease) -> None:
    """Have the lease be held on another machine."""
    Path(lease.path).write_text(json.dumps({**content(lease), "space": "another machine", "host": "node-7"}))


def test_the_first_one_takes_it_and_the_same_one_takes_it_again(make: Callable[..., Lease], clock: Clock) -> None:
    started = clock()
    make("a").take()
    make("a").take()
    assert content(make("a"))["pid"] == os.getpid()
    assert clock() == started, "nobody had to wait"


def test_a_holder_at_work_is_not_disturbed(make: Callable[..., Lease], clock: Clock, lines: list[str]) -> None:
    first = make("a")
    first.take()
    elsewhere(first)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        first._write()

    with pytest.raises(ConfigError, match=r"another chief \(.*, process \d+\) is training there") as error:
        make("b", sleep).take()
    assert error.value.code == 2
    first.check()


def test_a_holder_that_is_gone_is_followed_after_a_while(
    make: Callable[..., Lease], clock: Clock, lines: list[str]
) -> None:
    first = make("a")
    first.take()
    elsewhere(first)
    started = clock()
    make("b").take()
    assert clock() - started >= STALE_AFTER
    assert lines[-1] == "its holder is gone: taking over"
    with pytest.raises(LostLease, match="another chief"):
        first.check()


def test_a_holder_that_died_on_this_machine_is_followed_at_once(make: Callable[..., Lease], clock: Clock) -> None:
    first = make("a")
    first.take()
    for change in ({"birth": "1"}, {"pid": 2**22 + 1, "birth": "1"}):
        Path(first.path).write_text(json.dumps({**content(first), "token": "a", **change}))
        started = clock()
        make("b").take()
        assert clock() == started


def test_a_lease_that_was_given_back_is_free(make: Callable[..., Lease], clock: Clock, lines: list[str]) -> None:
    first = make("a")
    first.take()
    elsewhere(first)
    first.give_back()
    started = clock()
    make("b").take()
    assert clock() == started
    first.give_back()
    assert content(first)["token"] == "b", "only what is one's own can be given back"
    assert "can't give" in lines[-1]


def test_one_that_is_given_back_meanwhile_is_free(make: Callable[..., Lease], clock: Clock, lines: list[str]) -> None:
    first = make("a")
    first.take()
    elsewhere(first)
    second = make("b", lambda _: first.give_back())
    second.take()
    second.check()


@pytest.mark.parametrize("text", ["", "\n", "{", "[]", "null"])
def test_what_is_no_lease_is_no_obstacle(make: Callable[..., Lease], text: str) -> None:
    lease = make("a")
    Path(lease.path).write_text(text)
    lease.take()
    lease.check()


def test_it_is_renewed_until_another_one_has_it(make: Callable[..., Lease]) -> None:
    first, lost = make("a"), threading.Event()
    first.take()
    first.start(lambda error: lost.set(), every=0.01)
    while int(str(content(first)["beat"] if Path(first.path).read_text().strip() else 0)) < 3:
        pass
    Path(first.path).write_text(json.dumps({"token": "b", "host": "node-7", "pid": 1}))
    assert lost.wait(10)
    assert content(first)["token"] == "b"
