"""The loop's bookkeeping, with steps that only count."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trainer.engine.loop import Loop, SegmentSizer, crossed, until_boundary
from trainer.engine.progress import Rate
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import LostPeer, Stopped

from .conftest import Clock


@dataclass
class Counter:
    """Counts steps; `extra` more in each segment, as a ParameterServer run does when a worker dies."""

    now: int = 0
    extra: int = 0
    segments: list[int] = field(default_factory=list)

    def run(self, count: int) -> float:
        self.now += count + self.extra
        self.segments.append(count)
        return 0.5

    def step(self) -> int:
        return self.now


@dataclass
class Silent:
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
        "settings": SETTINGS, "runner": counter, "progress": Silent(), "save": saved.append,
        "stop_requested": lambda: False, "sizer": SegmentSizer(),
    }  # fmt: skip
    return Loop(**{**defaults, **changes})  # type: ignore[arg-type]


def test_checkpoints_at_every_multiple_and_at_the_end() -> None:
    counter, saved, progress = Counter(), [], Silent()
    assert loop(counter, saved, progress=progress).run() == 100
    assert saved == [30, 60, 90, 100]
    ends = {step for _, step in progress.seen}
    assert {20, 30, 40, 60, 80, 90, 100} <= ends, "no segment goes past a checkpoint or a summary"


def test_it_goes_on_where_it_was() -> None:
    saved: list[int] = []
    assert loop(Counter(now=60), saved).run() == 100
    assert saved == [90, 100]


def test_a_trained_run_takes_no_step() -> None:
    counter, saved = Counter(now=100), []
    assert loop(counter, saved).run() == 100
    assert (counter.segments, saved) == ([], [])


def test_steps_too_many_move_no_checkpoint_past_the_end() -> None:
    counter, saved = Counter(extra=1), []
    end = loop(counter, saved).run()
    assert 100 <= end <= 101
    assert [step // 30 for step in saved[:-1]] == [1, 2, 3]
    assert saved[-1] == end


def test_told_to_stop_it_saves_first() -> None:
    counter, saved = Counter(), []
    with pytest.raises(Stopped, match="checkpoint of step 40 saved"):
        loop(counter, saved, stop_requested=lambda: counter.now > 30).run()
    assert saved == [30, 40]


def test_told_to_stop_right_after_a_checkpoint_it_saves_no_second_one() -> None:
    counter, saved = Counter(), []
    with pytest.raises(Stopped):
        loop(counter, saved, stop_requested=lambda: counter.now >= 30).run()
    assert saved == [30]


def test_it_does_what_all_have_agreed_on() -> None:
    counter, saved = Counter(), []
    agreed = iter([(False, False, 7), (False, False, 3), (False, True, 1)])
    assert loop(counter, saved, decide=lambda *_: next(agreed)).run() == 10
    assert counter.segments == [7, 3]
    assert saved == [10]


def test_a_task_that_was_not_told_itself_saves_and_stays() -> None:
    counter, saved = Counter(), []
    agreed = iter([(False, False, 7), (True, False, 1)])
    with pytest.raises(LostPeer, match="another task was told to stop, checkpoint of step 7 saved"):
        loop(counter, saved, decide=lambda *_: next(agreed), settle_seconds=0.01).run()
    assert saved == [7]


def test_told_a_moment_later_than_the_others_it_stops_with_them() -> None:
    answers = iter([False, False, True, True])
    with pytest.raises(Stopped, match="told to stop at step 0"):
        loop(Counter(), [], decide=lambda *_: (True, False, 1), stop_requested=lambda: next(answers)).run()


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 20), (19, 1), (20, 10), (30, 10), (99, 1), (95, 5)]
)  # fmt: skip
def test_the_next_boundary(step: int, expected: int) -> None:
    assert until_boundary(step, 100, 30, 20) == expected


def test_crossing() -> None:
    assert crossed(29, 30, 30)
    assert crossed(29, 31, 30)
    assert not crossed(30, 59, 30)


def test_a_segment_becomes_about_a_second() -> None:
    sizer = SegmentSizer()
    sizer.ran(1, 20.0)
    assert sizer.count == 1, "the first call is tracing"
    sizer.ran(1, 0.01)
    assert sizer.count == 8, "it grows step by step"
    for _ in range(5):
        sizer.ran(sizer.count, sizer.count * 0.01)
    assert sizer.count == 100
    sizer.ran(100, 50.0)
    assert sizer.count == 2
    sizer.ran(2, 90.0)
    assert sizer.count == 1


def test_the_rate_leaves_out_the_first_segment(clock: Clock) -> None:
    rate = Rate(clock)
    assert (rate.recent, rate.overall) == (None, None)
    rate.add(1)  # after a minute of tracing
    for step in range(11, 300, 10):
        clock.sleep(1)
        rate.add(step)
    assert rate.overall == pytest.approx(10)
    assert rate.recent == pytest.approx(10)
    for step in range(300, 400):
        clock.sleep(1)
        rate.add(step)
    assert rate.recent == pytest.approx(1, rel=0.05)


def test_told_to_end_it_saves_and_that_is_the_last_step() -> None:
    counter, saved = Counter(), []
    assert loop(counter, saved, end_requested=lambda: counter.now > 30).run() == 40
    assert saved == [30, 40]
    assert loop(counter, saved, end_requested=lambda: True).run() == 40, "also when there is nothing to do any more"
    assert saved == [30, 40]


def test_told_to_stop_and_to_end_it_stops() -> None:
    with pytest.raises(Stopped):
        loop(Counter(), [], end_requested=lambda: True, stop_requested=lambda: True).run()


class Leaving:
    """A ps that is told to stop after step 30."""

    def __init__(self, counter: Counter, saved: list[int]) -> None:
        self.counter, self.saved, self.gone = counter, saved, list[str]()

    def leaving(self) -> list[str]:
        return ["ps-1"] if self.counter.now > 30 else []

    def release(self, names: list[str]) -> None:
        assert self.saved[-1] == self.counter.now, "not before all is saved"
        self.gone += names


def test_a_ps_that_is_told_to_stop_leaves_after_the_save() -> None:
    counter, saved = Counter(), []
    preemption = Leaving(counter, saved)
    with pytest.raises(LostPeer, match="ps-1 told to stop, checkpoint of step 40 saved"):
        loop(counter, saved, preemption=preemption).run()
    assert (saved, preemption.gone) == ([30, 40], ["ps-1"])
