"""The share of the training time in which steps wait for data, measured with a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
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
    assert lines[0].startswith("input-bound: steps waited for data for 43 % of the time. ")
    lines.clear()
    wait(clock, *[(0.43, 1.0)] * 400)
    assert len(lines) == 2


class TimedRunner:
    """A SyncStepRunner whose batches and steps each move the clock by a fixed number of seconds."""

    def __init__(self, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, data: float, step: float) -> None:
        def timestamp() -> Any:
            return tf.ensure_shape(tf.numpy_function(lambda: np.float64(clock()), [], tf.float64), [])

        def move(seconds: float, value: Any) -> Any:
            def sleep(each: Any) -> Any:
                clock.sleep(seconds)
                return each

            return tf.numpy_function(sleep, [value], value.dtype)

        def one_step(batch: Any) -> Any:
            with tf.control_dependencies([move(step, batch)]):
                counter.assign_add(1)
            return tf.reduce_sum(batch)

        monkeypatch.setattr(tf, "timestamp", timestamp)
        monkeypatch.setattr(steps, "time", SimpleNamespace(monotonic=clock))
        counter = tf.Variable(0, dtype=tf.int64)
        # The dataset is not distributed, because a distributed dataset fetches batches in another thread.
        dataset = tf.data.Dataset.from_tensors(1.0).repeat().map(lambda each: move(data, each))
        state = steps.TrainState(model=None, optimizer=None, step=counter)
        self.runner = steps.SyncStepRunner(tf.distribute.OneDeviceStrategy("/cpu:0"), state, one_step, dataset)

    def last_segment(self) -> tuple[float, float]:
        """Run a first segment, which traces the graph, and one of 40 steps; return the times of the second."""
        self.runner.run(2)
        assert self.runner.waited() == (0.0, 0.0)
        assert self.runner.run(40) == pytest.approx(1.0)
        return self.runner.waited()


def test_only_the_time_in_the_dataset_counts_as_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, seconds = TimedRunner(clock, monkeypatch, data=0.25, step=0.5).last_segment()
    assert waited == pytest.approx(40 * 0.25)
    assert seconds == pytest.approx(40 * 0.75)
