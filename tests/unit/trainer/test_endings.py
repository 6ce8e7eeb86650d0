"""How servers, evaluators and restarts decide, with clocks that the test moves."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from trainer.roles import restart
from trainer.roles.evaluator import RunMonitor
from trainer.roles.restart import InPlaceRestartState
from trainer.roles.server import ChiefMonitor, outcome, run_ended
from trainer.runtime import exit_codes
from trainer.runtime.config import RunRecord
from trainer.runtime.errors import GaveUp, Stopped, TaskFailed, TrainerExit
from trainer.runtime.signals import StopSignal
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status

from .conftest import Clock

REFUSED = "connection refused"


class Chief:
    """A chief that the test lets come and go, and the end of its run."""

    def __init__(self) -> None:
        self.reason: str | None = REFUSED
        self.ended: TrainerExit | bool = False


def watch(chief: Chief, clock: Clock) -> ChiefMonitor:
    return ChiefMonitor(
        start_timeout=300, orphan_timeout=60, grace_period=30,
        probe=lambda: chief.reason, ended=lambda: chief.ended, clock=clock,
    )  # fmt: skip


def look_for(seconds: int, it: ChiefMonitor, clock: Clock) -> None:
    for _ in range(seconds):
        assert not it.poll()
        clock.sleep(1)


def test_a_server_waits_for_the_first_chief_as_long_as_a_start_may_take(clock: Clock, lines: list[str]) -> None:
    it = watch(Chief(), clock)
    look_for(299, it, clock)
    clock.sleep(10)
    with pytest.raises(GaveUp, match=r"the chief never came for 30. s"):
        it.poll()


def test_an_orphan_gives_up_after_the_orphan_timeout(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    it = watch(chief, clock)
    chief.reason = None
    look_for(1000, it, clock)
    chief.reason = REFUSED
    look_for(55, it, clock)
    chief.reason = None
    look_for(10, it, clock)
    chief.reason = REFUSED
    look_for(55, it, clock)
    clock.sleep(20)
    with pytest.raises(GaveUp, match="has been gone"):
        it.poll()
    assert len([line for line in lines if "the chief is gone" in line]) == 2


def test_an_orphan_finds_the_end_of_its_run_in_the_run_directory(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    it = watch(chief, clock)
    chief.ended = True
    assert it.poll()
    chief.ended = TaskFailed("the run failed: boom")
    clock.sleep(10)
    with pytest.raises(TaskFailed, match="boom"):
        it.poll()


def test_a_server_that_was_told_to_stop_stays_until_the_chief_has_saved(clock: Clock, lines: list[str]) -> None:
    chief = Chief()
    chief.reason = None
    it = watch(chief, clock)
    it.poll()
    assert not it.may_leave(1)
    assert it.may_leave(25), "the grace period is nearly over"
    chief.reason = REFUSED
    it.probe_soon()
    clock.sleep(1.5)
    it.poll()
    assert it.may_leave(1), "the chief's port is gone"


@pytest.mark.parametrize(
    ("code", "error"), [(1, TaskFailed), (2, TaskFailed), (76, GaveUp), (143, Stopped)]
)  # fmt: skip
def test_a_server_leaves_with_the_chief_s_code(code: int, error: type[TrainerExit]) -> None:
    with pytest.raises(error) as caught:
        outcome(code, stop_requested=True)
    assert caught.value.code == code


def test_a_server_that_was_not_told_to_stop_waits_for_the_next_chief() -> None:
    assert outcome(exit_codes.STOPPED, stop_requested=False) is None
    assert outcome(exit_codes.DONE, stop_requested=False) == "the run is done"


@pytest.fixture
def run_dir(tmp_path: Path, record: RunRecord) -> RunDir:
    found = RunDir(str(tmp_path / "little"), record)
    found.claim()
    return found


def test_a_failure_counts_only_if_it_is_later_than_the_start(run_dir: RunDir) -> None:
    Status(run_dir, 9).update(state="failed", exitCode=76, message="gave up")
    assert run_ended(run_dir, "2999-01-01T00:00:00.000Z")() is False
    ended = run_ended(run_dir, "2000-01-01T00:00:00.000Z")()
    assert isinstance(ended, GaveUp)
    assert str(ended) == "the run failed: gave up"


def test_done_counts_always(run_dir: RunDir, record: RunRecord) -> None:
    run_dir.write_done({"hash": record.hash})
    assert run_ended(run_dir, "2999-01-01T00:00:00.000Z")() is True


def evaluator_watch(run_dir: RunDir, clock: Clock) -> RunMonitor:
    return RunMonitor(run_dir=run_dir, start_timeout=300, orphan_timeout=60, clock=clock)


def test_the_evaluator_ends_when_the_run_is_done(run_dir: RunDir, record: RunRecord, clock: Clock) -> None:
    it = evaluator_watch(run_dir, clock)
    assert not it.done()
    run_dir.write_done({"hash": record.hash})
    assert it.done()


@pytest.mark.parametrize(("code", "error"), [(1, TaskFailed), (2, TaskFailed), (76, GaveUp), (3, TaskFailed)])
def test_the_evaluator_ends_with_the_run_s_class_of_code(
    run_dir: RunDir, clock: Clock, code: int, error: type[TrainerExit]
) -> None:
    status = Status(run_dir, 9)
    status.update(state="failed", exitCode=1, message="an earlier attempt")
    it = evaluator_watch(run_dir, clock)
    assert not it.done(), "a failure from before its start is not its own"
    status.update(state="running")
    assert not it.done()
    status.update(state="failed", exitCode=code, message="boom")
    with pytest.raises(error, match="boom") as caught:
        it.done()
    assert caught.value.code == (1 if code == 3 else code)


def test_the_evaluator_gives_up_when_nothing_happens(run_dir: RunDir, clock: Clock) -> None:
    it = evaluator_watch(run_dir, clock)
    clock.sleep(299)
    assert not it.done(), "at first the run may take as long as a start may"
    status = Status(run_dir, 9)
    status.update(state="running")
    assert not it.done()
    clock.sleep(59)
    assert not it.done()
    clock.sleep(1)
    with pytest.raises(GaveUp, match=r"status\.json has not changed for 60 s"):
        it.done()


def test_restarts_in_place_are_limited_until_there_is_a_newer_checkpoint() -> None:
    state: InPlaceRestartState | None = InPlaceRestartState()
    counts = []
    for checkpoint in (-1, -1, 200, 200, 200, 200):
        assert state is not None
        state = state.after_lost_peer(checkpoint=checkpoint, limit=3)
        counts.append(state and state.count)
    assert counts == [1, 2, 1, 2, 3, None]
    assert InPlaceRestartState().after_lost_peer(checkpoint=-1, limit=0) is None
    assert [InPlaceRestartState(count=n).pause for n in (1, 2, 3, 9)] == [1, 2, 4, 10]


def test_restarts_while_waiting_do_not_count_and_keep_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    state = InPlaceRestartState(count=2, checkpoint=50).while_waiting(1000.0).while_waiting(1060.0)
    assert (state.count, state.checkpoint, state.waiting_since) == (2, 50, 1000.0)
    monkeypatch.setattr(restart.time, "time", lambda: 1090.0)
    assert state.waited == 90
    assert InPlaceRestartState().waited == 0


@pytest.mark.parametrize("text", ["", "{", '{"nothing": 1}', "[]"])
def test_a_broken_restart_state_is_a_first_start(text: str) -> None:
    assert restart.load({restart.VARIABLE: text} if text else {}) == InPlaceRestartState()


def test_a_signal_ends_at_once_unless_it_is_held() -> None:
    ended = threading.Event()
    stop = StopSignal()
    stop.on_stop(ended.set)
    stop.hold(30)
    stop.set()
    assert stop.is_set()
    assert not ended.is_set(), "the loop has to save first"
    stop.release()
    assert ended.is_set()


def test_a_loop_that_does_not_save_in_time_is_ended() -> None:
    ended = threading.Event()
    stop = StopSignal()
    stop.on_stop(ended.set)
    stop.hold(0.05)
    stop.set()
    assert ended.wait(5)


def test_real_signals_reach_it_from_another_thread() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = StopSignal()
    stop.hold(30)
    try:
        stop.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        stop.uninstall()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
