"""The decisions of the training loop, with a runner that only counts steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.unit.trainer.conftest import Clock
from trainer.engine.loop import Loop, SegmentSizer, crossed, until_boundary
from trainer.engine.progress import Rate
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import GroupChange, LostPeer, Stopped


@dataclass
class Counter:
    """A runner that counts steps, and adds `extra` steps per segment as a lost ParameterServer worker does."""

    now: int = 0
    extra: int = 0
    segments: list[int] = field(default_factory=list)

    def run(self, count: int) -> float:
        self.now += count + self.extra
        self.segments.append(count)
        return 0.5

    def step(self) -> int:
        return self.now

    def lost(self) -> int:
        return 0

    def waited(self) -> tuple[float, float]:
        return (0.0, 0.0)


@dataclass
class Recorder:
    """Reports that only record the segments."""

    seen: list[tuple[int, int]] = field(default_factory=list)

    def begin(self, step: int) -> None:
        self.seen.append((step, step))

    def segment(self, before: int, step: int, loss: float | None) -> None:
        self.seen.append((before, step))

    def room(self, step: int) -> int:
        return 1000


SETTINGS = TrainerConfig(steps=100, checkpoint_every=30, summary_every=20)


def loop(counter: Counter, saved: list[int], **changes: object) -> Loop:
    defaults = {
        "settings": SETTINGS, "runner": counter, "progress": Recorder(), "save": saved.append,
        "stop_requested": lambda: False, "sizer": SegmentSizer(),
    }  # fmt: skip
    return Loop(**{**defaults, **changes})  # type: ignore[arg-type]


def test_loop_saves_at_every_multiple_and_at_the_last_step() -> None:
    counter, saved, progress = Counter(), [], Recorder()
    assert loop(counter, saved, progress=progress).run() == 100
    assert saved == [30, 60, 90, 100]
    ends = {step for _, step in progress.seen}
    assert {20, 30, 40, 60, 80, 90, 100} <= ends, "each checkpoint and summary must be the end of a segment"


def test_loop_continues_from_the_restored_step() -> None:
    saved: list[int] = []
    assert loop(Counter(now=60), saved).run() == 100
    assert saved == [90, 100]


def test_loop_runs_no_step_after_the_last_one() -> None:
    counter, saved = Counter(now=100), []
    assert loop(counter, saved).run() == 100
    assert (counter.segments, saved) == ([], [])


def test_extra_steps_of_a_lost_worker_skip_no_checkpoint() -> None:
    counter, saved = Counter(extra=1), []
    end = loop(counter, saved).run()
    assert 100 <= end <= 101
    assert [step // 30 for step in saved[:-1]] == [1, 2, 3]
    assert saved[-1] == end


def test_loop_saves_before_it_stops() -> None:
    counter, saved = Counter(), []
    with pytest.raises(Stopped, match="saved checkpoint 40"):
        loop(counter, saved, stop_requested=lambda: counter.now > 30).run()
    assert saved == [30, 40]


def test_loop_does_not_save_the_same_step_twice_on_stop() -> None:
    counter, saved = Counter(), []
    with pytest.raises(Stopped):
        loop(counter, saved, stop_requested=lambda: counter.now >= 30).run()
    assert saved == [30]


def test_loop_follows_the_decision_of_all_tasks() -> None:
    counter, saved = Counter(), []
    agreed = iter([(False, False, False, 7), (False, False, False, 3), (False, True, False, 1)])
    assert loop(counter, saved, decide=lambda *_: next(agreed)).run() == 10
    assert counter.segments == [7, 3]
    assert saved == [10]


def test_task_without_a_signal_saves_and_loses_its_peer_when_another_stops() -> None:
    counter, saved = Counter(), []
    agreed = iter([(False, False, False, 7), (True, False, False, 1)])
    with pytest.raises(LostPeer, match="another task received SIGTERM; saved checkpoint 7"):
        loop(counter, saved, decide=lambda *_: next(agreed), settle_seconds=0.01).run()
    assert saved == [7]


def test_task_whose_signal_arrives_later_stops_with_the_others() -> None:
    answers = iter([False, False, True, True])
    with pytest.raises(Stopped, match="received SIGTERM at step 0"):
        loop(Counter(), [], decide=lambda *_: (True, False, False, 1), stop_requested=lambda: next(answers)).run()


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 20), (19, 1), (20, 10), (30, 10), (99, 1), (95, 5)]
)  # fmt: skip
def test_segments_end_at_the_next_boundary(step: int, expected: int) -> None:
    assert until_boundary(step, 100, 30, 20) == expected


def test_boundary_is_crossed_at_or_after_its_step() -> None:
    assert crossed(29, 30, 30)
    assert crossed(29, 31, 30)
    assert not crossed(30, 59, 30)


def test_segment_size_converges_to_one_second() -> None:
    sizer = SegmentSizer()
    sizer.ran(1, 20.0)
    assert sizer.count == 1, "the first call traces the graph, so its time is ignored"
    sizer.ran(1, 0.01)
    assert sizer.count == 8, "the size grows at most eightfold"
    for _ in range(5):
        sizer.ran(sizer.count, sizer.count * 0.01)
    assert sizer.count == 100
    sizer.ran(100, 50.0)
    assert sizer.count == 2
    sizer.ran(2, 90.0)
    assert sizer.count == 1


def test_rate_excludes_the_first_segment(clock: Clock) -> None:
    rate = Rate(clock)
    assert (rate.recent, rate.overall) == (None, None)
    rate.add(1)  # the end of the first segment
    for step in range(11, 300, 10):
        clock.sleep(1)
        rate.add(step)
    assert rate.overall == pytest.approx(10)
    assert rate.recent == pytest.approx(10)
    for step in range(300, 400):
        clock.sleep(1)
        rate.add(step)
    assert rate.recent == pytest.approx(1, rel=0.05)


def test_early_stopping_saves_and_ends_the_loop() -> None:
    counter, saved = Counter(), []
    assert loop(counter, saved, end_requested=lambda: counter.now > 30).run() == 40
    assert saved == [30, 40]
    assert loop(counter, saved, end_requested=lambda: True).run() == 40, "the loop ends before a further step"
    assert saved == [30, 40]


def test_stop_wins_over_early_stopping() -> None:
    with pytest.raises(Stopped):
        loop(Counter(), [], end_requested=lambda: True, stop_requested=lambda: True).run()


class DrainedServer:
    """A preemption handler of a ps that receives SIGTERM after step 30."""

    def __init__(self, counter: Counter, saved: list[int]) -> None:
        self.counter, self.saved, self.released = counter, saved, list[str]()

    def leaving(self) -> list[str]:
        return ["ps-1"] if self.counter.now > 30 else []

    def release(self, names: list[str]) -> None:
        assert self.saved[-1] == self.counter.now, "the checkpoint must be saved first"
        self.released += names


def test_draining_ps_is_released_after_the_save() -> None:
    counter, saved = Counter(), []
    preemption = DrainedServer(counter, saved)
    with pytest.raises(LostPeer, match="ps-1 received SIGTERM; saved checkpoint 40"):
        loop(counter, saved, preemption=preemption).run()
    assert (saved, preemption.released) == ([30, 40], ["ps-1"])


class Joining:
    """A worker that waits to join after step 30."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter

    def requested(self) -> bool:
        return self.counter.now > 30

    def change(self, step: int) -> GroupChange:
        return GroupChange(f"saved checkpoint {step}")


def test_loop_saves_before_another_group_forms() -> None:
    counter, saved = Counter(), []
    with pytest.raises(GroupChange, match="saved checkpoint 40"):
        loop(counter, saved, membership=Joining(counter)).run()
    assert saved == [30, 40]
