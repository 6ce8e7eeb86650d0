"""The share of the time that goes by waiting for data."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import tensorflow as tf

from trainer.engine import steps
from trainer.engine.input_wait import InputWait

from .conftest import Clock


@dataclass
class Fake:
    """A runner, the reports, and the status in one."""

    segments: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    seen: list[Any] = field(default_factory=list)
    share: float | None = None

    def waited(self) -> tuple[float, float]:
        return self.segments[-1]

    def begin(self, step: int) -> None:
        self.seen.append(step)

    def room(self, step: int) -> int:
        return step + 1

    def segment(self, before: int, step: int, loss: float | None) -> None:
        self.seen.append((before, step, loss))

    def note(self, inputWaitShare: float) -> None:  # noqa: N803, RUF100
        self.share = inputWaitShare


def run(fake: Fake, clock: Clock, *segments: tuple[float, float]) -> InputWait:
    wait = InputWait(fake, fake, fake, clock)  # type: ignore[arg-type]
    for segment in segments:
        fake.segments.append(segment)
        clock.sleep(segment[1])
        wait.segment(0, 1, 0.5)
    return wait


def test_everything_is_passed_on(clock: Clock) -> None:
    fake = Fake()
    wait = run(fake, clock, (0.0, 1.0))
    wait.begin(3)
    assert wait.room(4) == 5
    assert fake.seen == [(0, 1, 0.5), 3]


def test_the_share_is_that_of_the_last_ten_seconds(clock: Clock, lines: list[str]) -> None:
    fake = Fake()
    run(fake, clock, (0.0, 0.0), (0.9, 1.0))
    assert fake.share is None, "a second says nothing yet"
    run(fake, clock, *[(0.1, 1.0)] * 4)
    assert fake.share == pytest.approx(0.1)
    assert lines == []
    run(fake, clock, *[(0.9, 1.0)] * 3, *[(0.0, 1.0)] * 10)
    assert fake.share == pytest.approx(0.0)


def test_much_waiting_is_said_once_in_a_while(clock: Clock, lines: list[str]) -> None:
    run(Fake(), clock, *[(0.43, 1.0)] * 20)
    assert len(lines) == 1
    assert lines[0].startswith("input-bound: 43 % of the time was spent waiting for data: ")
    lines.clear()
    run(Fake(), clock, *[(0.43, 1.0)] * 400)
    assert len(lines) == 2


class Slow:
    """A runner over data of which each batch takes some milliseconds, and a step some others."""

    def __init__(self, data_ms: int, step_ms: int) -> None:
        def sleep(milliseconds: int, value: Any) -> Any:
            def wait(each: Any) -> Any:
                time.sleep(milliseconds / 1000)
                return each

            return tf.numpy_function(wait, [value], value.dtype)

        def step(batch: Any) -> Any:
            with tf.control_dependencies([sleep(step_ms, batch)]):
                counter.assign_add(1)
            return tf.reduce_sum(batch)

        counter = tf.Variable(0, dtype=tf.int64)
        data = tf.data.Dataset.from_tensors(1.0).repeat().map(lambda each: sleep(data_ms, each)).prefetch(2)
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        state = steps.TrainState(model=None, optimizer=None, step=counter)
        self.runner = steps.SyncStepRunner(
            strategy, state, step, strategy.distribute_datasets_from_function(lambda _: data)
        )

    def share(self) -> float:
        self.runner.run(2)
        assert self.runner.waited() == (0.0, 0.0), "the first segment is tracing"
        assert self.runner.run(40) == pytest.approx(1.0)
        waited, seconds = self.runner.waited()
        return waited / seconds


@pytest.mark.parametrize(("data_ms", "step_ms", "low", "high"), [(0, 20, 0.0, 0.2), (20, 5, 0.5, 0.9)])
def test_the_loop_measures_its_waiting(data_ms: int, step_ms: int, low: float, high: float) -> None:
    assert low <= Slow(data_ms, step_ms).share() <= high
