"""The share of the training time in which steps wait for data, measured with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
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
    assert lines[0].startswith("input-bound: steps waited for data for 43 % of the time. ")
    lines.clear()
    wait(clock, *[(0.43, 1.0)] * 400)
    assert len(lines) == 2


@pytest.fixture
def functions_run_eagerly() -> Iterator[None]:
    """Run the body of each tf.function as Python code, so that the test controls the order of the operations."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("functions_run_eagerly")
def test_only_the_time_in_the_dataset_counts_as_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> Iterator[Any]:
        while True:
            clock.sleep(0.25)
            yield tf.constant(1.0)

    def step(batch: Any) -> Any:
        clock.sleep(0.5)
        return batch

    monkeypatch.setattr(tf, "timestamp", lambda: tf.constant(clock(), tf.float64))
    monkeypatch.setattr(steps, "time", SimpleNamespace(monotonic=clock))
    state = steps.TrainState(model=None, optimizer=None, unseeded=None, step=tf.Variable(0, dtype=tf.int64))
    runner = steps.SyncStepRunner(tf.distribute.OneDeviceStrategy("/cpu:0"), state, step, batches())
    runner.run(2)
    assert runner.waited() == (0.0, 0.0), "the first segment traces the graph, so its time is ignored"
    assert runner.run(40) == pytest.approx(1.0)
    assert runner.waited() == pytest.approx((40 * 0.25, 40 * 0.75))


def test_clock_is_read_before_and_after_the_batch() -> None:
    """Without these edges TensorFlow may read the clock in any order with the batch."""
    iterator = iter(tf.data.Dataset.range(3))
    graph = tf.function(lambda each: steps._next(each)[1]).get_concrete_function(iterator).graph
    [taken] = [each for each in graph.get_operations() if each.type == "IteratorGetNext"]
    first, second = [each for each in graph.get_operations() if each.type == "Timestamp"]
    assert first in taken.control_inputs
    assert set(second.control_inputs) & {taken, *(use for each in taken.outputs for use in each.consumers())}
