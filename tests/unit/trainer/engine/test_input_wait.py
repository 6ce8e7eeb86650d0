"""The share of the time that goes by waiting for data."""

from __future__ import annotations

import time
from typing import Any

import pytest
import tensorflow as tf

from tests.unit.trainer.conftest import Clock
from trainer.engine import steps
from trainer.engine.input_wait import InputWait


def wait(clock: Clock, *segments: tuple[float, float]) -> InputWait:
    found = InputWait(clock)
    for segment in segments:
        clock.sleep(segment[1])
        found.add(*segment)
        found.warn()
    return found


def test_share_is_unknown_until_two_seconds_are_measured(clock: Clock) -> None:
    assert wait(clock, (0.0, 0.0), (0.9, 1.0)).share() is None
    assert wait(clock, (0.9, 1.0), (0.1, 1.0)).share() == pytest.approx(0.5)


def test_share_covers_the_last_ten_seconds(clock: Clock, lines: list[str]) -> None:
    assert wait(clock, *[(0.1, 1.0)] * 4).share() == pytest.approx(0.1)
    assert lines == []
    assert wait(clock, *[(0.9, 1.0)] * 3, *[(0.0, 1.0)] * 10).share() == pytest.approx(0.0)


def test_input_bound_warning_is_logged_once_in_five_minutes(clock: Clock, lines: list[str]) -> None:
    wait(clock, *[(0.43, 1.0)] * 20)
    assert len(lines) == 1
    assert lines[0].startswith("input-bound: 43 % of the time was spent waiting for data: ")
    lines.clear()
    wait(clock, *[(0.43, 1.0)] * 400)
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
        data = tf.data.Dataset.from_tensors(1.0).repeat().map(lambda each: sleep(data_ms, each))
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        state = steps.TrainState(model=None, optimizer=None, step=counter)
        self.runner = steps.SyncStepRunner(
            strategy, state, step, strategy.distribute_datasets_from_function(lambda _: data)
        )

    def last_segment(self) -> tuple[float, float]:
        self.runner.run(2)
        assert self.runner.waited() == (0.0, 0.0), "the first segment is tracing"
        assert self.runner.run(40) == pytest.approx(1.0)
        return self.runner.waited()


def test_time_in_dataset_counts_as_waiting() -> None:
    waited, seconds = Slow(data_ms=20, step_ms=0).last_segment()
    assert 40 * 0.02 <= waited <= seconds


def test_time_in_steps_does_not_count_as_waiting() -> None:
    waited, seconds = Slow(data_ms=0, step_ms=20).last_segment()
    assert seconds - waited >= 40 * 0.02
