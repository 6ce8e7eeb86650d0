"""Single servers that receive SIGTERM, with lists as queues and a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import tensorflow as tf

from tests.unit.trainer.conftest import Clock
from trainer.peers.preemption import SETTLE_SECONDS, PreemptionHandler
from trainer.runtime.exit_codes import STOPPED

pytestmark = pytest.mark.slow


@dataclass
class Box:
    """A queue of a server, which raises an error when the server is unreachable."""

    messages: list[int] = field(default_factory=list)
    unreachable: bool = False

    def size(self) -> int:
        if self.unreachable:
            raise tf.errors.UnavailableError(None, None, "connection refused")
        return len(self.messages)

    def put(self, code: int) -> None:
        self.size()
        self.messages.append(code)


class Servers:
    def __init__(self, clock: Clock) -> None:
        self.stopping = False
        self.absent: dict[str, str] = {}
        self.opened: list[str] = []
        self.leaving = {name: Box() for name in ("ps-0", "ps-1", "worker-0", "worker-1")}
        self.mail = {name: Box() for name in self.leaving}
        self.preemption = PreemptionHandler(
            {"ps-0": "a", "ps-1": "b"}, {"worker-0": "c", "worker-1": "d"}, stop_requested=lambda: self.stopping,
            leaving=self.open, mailbox=lambda name, _: self.mail[name],
            probe=self.absent.get, clock=clock,
        )  # fmt: skip

    def open(self, name: str, _: str) -> Box:
        self.opened.append(name)
        return self.leaving[name]

    def released(self) -> list[str]:
        return [name for name, box in self.mail.items() if box.messages]


@pytest.fixture
def servers(clock: Clock) -> Servers:
    return Servers(clock)


def test_worker_is_released_when_not_all_tasks_receive_sigterm(
    servers: Servers, clock: Clock, lines: list[str]
) -> None:
    servers.leaving["worker-1"].put(1)
    servers.preemption.poll()
    assert servers.released() == []
    clock.sleep(SETTLE_SECONDS)
    servers.preemption.poll()
    servers.preemption.poll()
    assert servers.mail["worker-1"].messages == [STOPPED], "the handler sends the code once"
    assert servers.released() == ["worker-1"]
    assert servers.preemption.leaving() == []


def test_no_session_is_opened_to_an_absent_server(servers: Servers, lines: list[str]) -> None:
    servers.absent["d"] = "no DNS name"
    servers.preemption.poll()
    assert "worker-1" not in servers.opened
    servers.absent.clear()
    servers.preemption.poll()
    assert "worker-1" in servers.opened


def test_ps_is_released_after_the_loop_has_saved(servers: Servers, clock: Clock, lines: list[str]) -> None:
    servers.leaving["ps-1"].put(1)
    servers.preemption.poll()
    assert servers.preemption.leaving() == []
    clock.sleep(SETTLE_SECONDS)
    servers.preemption.poll()
    assert servers.preemption.leaving() == ["ps-1"]
    assert servers.released() == []
    servers.preemption.release(["ps-1"])
    assert servers.released() == ["ps-1"]


def test_no_server_is_released_when_the_chief_receives_sigterm_too(
    servers: Servers, clock: Clock, lines: list[str]
) -> None:
    for box in servers.leaving.values():
        box.put(1)
    servers.preemption.poll()
    servers.stopping = True
    clock.sleep(60)
    servers.preemption.poll()
    assert (servers.released(), servers.preemption.leaving()) == ([], [])


def test_last_worker_is_not_released(servers: Servers, clock: Clock, lines: list[str]) -> None:
    for name in ("worker-0", "worker-1"):
        servers.leaving[name].put(1)
    servers.preemption.poll()
    clock.sleep(60)
    servers.preemption.poll()
    assert servers.released() == []


def test_unreachable_or_restarted_server_is_not_leaving(servers: Servers, clock: Clock, lines: list[str]) -> None:
    servers.leaving["ps-0"].put(1)
    servers.preemption.poll()
    clock.sleep(SETTLE_SECONDS)
    servers.leaving["ps-0"].unreachable = True
    servers.preemption.poll()
    assert servers.preemption.leaving() == []
    servers.leaving["ps-0"] = Box()
    servers.preemption.poll()
    assert servers.preemption.leaving() == []
    servers.mail["ps-0"].unreachable = True
    servers.preemption.release(["ps-0"])
    assert "cannot send the exit code to ps-0" in lines[-1]
