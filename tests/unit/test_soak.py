"""The checks of `make soak` find two groups, and a writer without the lease."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.soak.checks import Log, groups, writers
from tests.soak.observer import Observer

BOTH, ALONE = "starting with 2 of 3 workers: worker-0, worker-1", "starting with 1 of 3 workers: worker-2"


def steps(task: str, pid: int, group: str, *times: float) -> Log:
    """Return the log of a process that starts in `group` and takes steps at `times`."""
    return Log(task, pid, [(times[0] - 1, group), *((when, "step 5/9 loss 0.5 9.0 steps/s") for when in times)])


@pytest.mark.parametrize(
    ("other", "resumed", "found"),
    [
        (steps("worker-2", 3, ALONE, 15.0, 17.0), [], ["worker-0 in (worker-0, worker-1), worker-2 in (worker-2)"]),
        (steps("worker-2", 3, ALONE, 21.0, 30.0), [], []),
        # A process that hung finds the lost lease only after the end of its segment.
        (steps("worker-2", 3, ALONE, 5.0, 15.0), [(14.0, 3)], []),
        (steps("worker-2", 3, ALONE, 5.0, 15.0), [(14.0, 1)], ["worker-0 in (worker-0, worker-1)"]),
        (steps("worker-1", 2, BOTH, 10.0, 20.0), [], []),
    ],
)
def test_steps_of_two_groups_at_the_same_time_are_found(
    other: Log, resumed: list[tuple[float, int]], found: list[str]
) -> None:
    problems = list(groups([steps("worker-0", 1, BOTH, 10.0, 20.0), other], resumed))
    assert len(problems) == len(found)
    assert all(expected in problem for expected, problem in zip(found, problems, strict=True))


def test_checkpoint_of_a_process_without_the_lease_is_found(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    with Observer(tmp_path) as observer:
        (tmp_path / "lease.json").write_text(json.dumps({"pid": 7}))
        while not observer.holders:
            time.sleep(0.01)
        (checkpoints / "ckpt-50.index").touch()
        while 50 not in observer.saves:
            time.sleep(0.01)
    [when] = observer.saves[50]
    line = [(when + 0.1, "saved checkpoint 50 in 0.1 s")]
    assert list(writers([Log("worker-0", 7, line)], observer)) == []
    assert list(writers([Log("worker-1", 8, line)], observer)) == [
        "worker-1 (process 8) wrote checkpoint 50 without the lease"
    ]
