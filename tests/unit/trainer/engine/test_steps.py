"""The graph of a segment: no step waits for the CPU."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tensorflow as tf

from trainer.engine.steps import SyncStepRunner, TrainState


class Steps:
    """A runner whose losses are the batches."""

    def __init__(self, losses: list[float]) -> None:
        self.traced = 0
        state: Any = type("State", (), {"step": tf.Variable(0, dtype=tf.int64)})()
        data = tf.data.Dataset.from_tensor_slices(losses).repeat()
        self.runner = SyncStepRunner(tf.distribute.get_strategy(), self._typed(state), self._step, data)

    @staticmethod
    def _typed(state: Any) -> TrainState:
        return state  # type: ignore[no-any-return]

    def _step(self, batch: tf.Tensor) -> tf.Tensor:
        self.traced += 1
        return batch


def test_all_steps_of_a_segment_are_one_call_of_one_graph() -> None:
    steps = Steps([1.0, 2.0, 3.0])
    assert [steps.runner.run(count) for count in (3, 1, 6)] == [2.0, 1.0, 2.0]
    assert steps.traced == 1


def test_what_a_segment_counts_stays_on_the_gpu() -> None:
    """TensorFlow has no int32 addition on a GPU: each step would wait for a copy to the CPU."""
    runner = Steps([1.0]).runner
    graph = runner._segment.get_concrete_function(runner._iterator, tf.constant(1))
    assert [each.dtype for each in graph.structured_outputs] == [tf.float32, tf.float32, tf.float64]


def test_steps_without_a_finite_loss_are_counted() -> None:
    runner = Steps([4.0, math.nan, math.inf, 2.0]).runner
    assert runner.run(4) == pytest.approx(3.0)
    assert runner.lost() == 2
    assert runner.run(1) == 4.0
    assert runner.lost() == 0
