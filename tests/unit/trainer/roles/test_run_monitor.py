"""The end of the evaluator, with a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.trainer.conftest import Clock
from trainer.roles.evaluator import RunMonitor
from trainer.runtime.config import RunRecord
from trainer.runtime.errors import GaveUp, TaskFailed, TrainerExit
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status


@pytest.fixture
def run_dir(tmp_path: Path, record: RunRecord) -> RunDir:
    found = RunDir(str(tmp_path / "little"), record)
    found.claim()
    return found


def new_monitor(run_dir: RunDir, clock: Clock) -> RunMonitor:
    return RunMonitor(run_dir=run_dir, start_timeout=300, orphan_timeout=60, clock=clock)


def test_monitor_ends_when_the_run_is_done(run_dir: RunDir, record: RunRecord, clock: Clock) -> None:
    monitor = new_monitor(run_dir, clock)
    assert not monitor.done()
    run_dir.write_done({})
    assert monitor.done()


@pytest.mark.parametrize(("code", "error"), [(1, TaskFailed), (2, TaskFailed), (76, GaveUp), (3, TaskFailed)])
def test_monitor_ends_with_the_code_of_the_run(
    run_dir: RunDir, clock: Clock, code: int, error: type[TrainerExit]
) -> None:
    status = Status(run_dir, 9)
    status.update(state="failed", exitCode=1, message="an earlier attempt")
    monitor = new_monitor(run_dir, clock)
    assert not monitor.done(), "a failure before the start of the monitor belongs to an earlier attempt"
    status.update(state="running")
    assert not monitor.done()
    status.update(state="failed", exitCode=code, message="boom")
    with pytest.raises(error, match="boom") as caught:
        monitor.done()
    assert caught.value.code == (1 if code == 3 else code)


def test_monitor_gives_up_when_status_json_does_not_change(run_dir: RunDir, clock: Clock) -> None:
    monitor = new_monitor(run_dir, clock)
    clock.sleep(299)
    assert not monitor.done(), "the start timeout applies before the first change"
    status = Status(run_dir, 9)
    status.update(state="running")
    assert not monitor.done()
    clock.sleep(59)
    assert not monitor.done()
    clock.sleep(1)
    with pytest.raises(GaveUp, match=r"status\.json has not changed for 60 s"):
        monitor.done()
