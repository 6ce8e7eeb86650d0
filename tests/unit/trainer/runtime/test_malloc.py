"""The thresholds that `keep_large_blocks` sets in the C library, and its call during training."""

from __future__ import annotations

import ctypes

import pytest
import tensorflow as tf

from trainer.engine import steps
from trainer.runtime import malloc

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


class Library:
    """A C library that records the calls."""

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> None:
        self.calls[option] = value


def test_both_thresholds_exceed_the_128_kib_of_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    malloc.keep_large_blocks()
    assert set(library.calls) == {M_TRIM_THRESHOLD, M_MMAP_THRESHOLD}
    assert min(library.calls.values()) > 128 * 1024


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_other_c_libraries_are_ignored(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def missing(name: None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    malloc.keep_large_blocks()


def test_training_sets_the_thresholds_once_after_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    counter = tf.Variable(0, dtype=tf.int64)
    monkeypatch.setattr(malloc, "keep_large_blocks", lambda: calls.append(int(counter.numpy())))

    def step(batch: tf.Tensor) -> tf.Tensor:
        counter.assign_add(1)
        return tf.reduce_sum(batch)

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    data = strategy.distribute_datasets_from_function(lambda _: tf.data.Dataset.from_tensors(1.0).repeat())
    state = steps.TrainState(model=None, optimizer=None, unseeded=None, step=counter)
    runner = steps.SyncStepRunner(strategy, state, step, data)
    for _ in range(3):
        runner.run(2)
    assert calls == [2]
