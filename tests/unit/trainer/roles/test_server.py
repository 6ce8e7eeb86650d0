"""The exit of a server, with a clock that the test moves."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.trainer.conftest import Clock
from trainer.peers.probe import NO_CONNECTION, SILENT
from trainer.roles.server import ChiefMonitor, outcome, run_ended
from trainer.runtime import exit_codes
from trainer.runtime.config import RunRecord
from trainer.runtime.errors import CutOff, GaveUp, Stopped, TaskFailed, TrainerExit
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status

REFUSED = "connection refused"
HERE = frozenset({"10.0.0.1"})


class Chief:
    """A chief whose reachability and result the test sets."""

    def __init__(self) -> None:
        self.reason: str | None = REFUSED
        self.ended: TrainerExit | bool = False


def new_monitor(chief: Chief, clock: Clock) -> ChiefMonitor:
    return ChiefMonitor(
        start_timeout=300, orphan_timeout=60, grace_period=30,
        probe=lambda: chief.reason, ended=lambda: chief.ended, clock=clock,
    )  # fmt: skip


def poll_for(seconds: int, monitor: ChiefMonitor, clock: Clock) -> None:
    """Poll once per second for some seconds; fail if the run ends."""
    for _ in range(seconds):
        assert not monitor.poll()
        clock.sleep(1)


def test_server_waits_for_the_first_chief_until_the_start_timeout(clock: Clock, lines: list[str]) -> None:
    monitor = new_monitor(Chief(), clock)
    poll_for(299, monitor, clock)
    clock.sleep(10)
    with pytest.raises(GaveUp, match=r"the chief did not start within 30. s"):
        monitor.poll()


def test_orphaned_server_gives_up_after_the_orphan_timeout(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    monitor = new_monitor(chief, clock)
    chief.reason = None
    poll_for(1000, monitor, clock)
    chief.reason = REFUSED
    poll_for(55, monitor, clock)
    chief.reason = None
    poll_for(10, monitor, clock)
    chief.reason = REFUSED
    poll_for(55, monitor, clock)
    clock.sleep(20)
    with pytest.raises(GaveUp, match="was unreachable for"):
        monitor.poll()
    assert len([line for line in lines if "the chief is unreachable" in line]) == 2


@pytest.mark.parametrize(
    ("while_away", "at_return", "restarts"),
    [
        ([NO_CONNECTION], HERE, True),
        (["No route to host"], HERE, True),
        ([NO_CONNECTION, SILENT], HERE, True),
        ([NO_CONNECTION], frozenset({"10.0.0.2"}), False),  # another pod of the chief
        ([NO_CONNECTION], frozenset(), False),
        ([NO_CONNECTION, REFUSED], HERE, False),  # another process of the chief
        ([NO_CONNECTION, "no DNS name"], HERE, False),
        ([SILENT], HERE, False),  # a chief that hung
        ([REFUSED], HERE, False),
    ],
)
def test_worker_whose_network_was_away_restarts_in_place(
    clock: Clock, lines: list[str], while_away: list[str], at_return: frozenset[str], restarts: bool
) -> None:
    chief, hosts = Chief(), [HERE]
    monitor = replace(new_monitor(chief, clock), hosts=lambda: hosts[0])
    chief.reason = None
    poll_for(10, monitor, clock)
    for chief.reason in while_away:
        poll_for(10, monitor, clock)
    chief.reason, hosts[0] = None, at_return
    with pytest.raises(CutOff) if restarts else nullcontext():
        poll_for(10, monitor, clock)


def test_server_whose_network_was_away_before_the_first_chief_stays(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    monitor = replace(new_monitor(chief, clock), hosts=lambda: HERE)
    for chief.reason in (NO_CONNECTION, None):
        poll_for(10, monitor, clock)


def test_worker_that_received_sigterm_while_its_network_was_away_does_not_restart(
    clock: Clock, lines: list[str]
) -> None:
    chief = Chief()
    monitor = replace(new_monitor(chief, clock), hosts=lambda: HERE)
    for chief.reason in (None, NO_CONNECTION):
        poll_for(10, monitor, clock)
    monitor.probe_soon()
    chief.reason = None
    poll_for(10, monitor, clock)


def test_ps_whose_network_was_away_stays(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    monitor = new_monitor(chief, clock)
    for chief.reason in (None, NO_CONNECTION, None):
        poll_for(10, monitor, clock)


def test_orphaned_server_reads_the_result_of_its_run_from_the_run_directory(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    monitor = new_monitor(chief, clock)
    chief.ended = True
    assert monitor.poll()
    chief.ended = TaskFailed("the run failed: boom")
    clock.sleep(10)
    with pytest.raises(TaskFailed, match="boom"):
        monitor.poll()


def test_server_that_received_sigterm_stays_until_the_chief_has_saved(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    chief.reason = None
    monitor = new_monitor(chief, clock)
    monitor.poll()
    assert not monitor.may_leave(1)
    assert monitor.may_leave(25), "the grace period ends soon"
    chief.reason = REFUSED
    monitor.probe_soon()
    clock.sleep(1.5)
    monitor.poll()
    assert monitor.may_leave(1), "the chief's port is unreachable"


@pytest.mark.parametrize(
    ("code", "error"), [(1, TaskFailed), (2, TaskFailed), (76, GaveUp), (143, Stopped)]
)  # fmt: skip
def test_server_exits_with_the_code_of_the_chief(code: int, error: type[TrainerExit]) -> None:
    with pytest.raises(error) as caught:
        outcome(code, stop_requested=True)
    assert caught.value.code == code


def test_server_without_a_signal_waits_for_the_next_chief() -> None:
    assert outcome(exit_codes.STOPPED, stop_requested=False) is None
    assert outcome(exit_codes.DONE, stop_requested=False) == "the run is done"


@pytest.fixture
def run_dir(tmp_path: Path, record: RunRecord) -> RunDir:
    found = RunDir(str(tmp_path / "little"), record)
    found.claim()
    return found


def test_failure_of_an_earlier_attempt_is_ignored(run_dir: RunDir) -> None:
    Status(run_dir, 9).update(state="failed", exitCode=76, message="gave up")
    assert run_ended(run_dir, "2999-01-01T00:00:00.000Z")() is False
    ended = run_ended(run_dir, "2000-01-01T00:00:00.000Z")()
    assert isinstance(ended, GaveUp)
    assert str(ended) == "the run failed: gave up"


def test_done_marker_always_ends_the_server(run_dir: RunDir, record: RunRecord) -> None:
    run_dir.write_done({})
    assert run_ended(run_dir, "2999-01-01T00:00:00.000Z")() is True
