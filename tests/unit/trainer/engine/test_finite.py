"""Runs whose numbers are not finite end, and all others continue."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import pytest
import tensorflow as tf

from trainer.embedding import Embedding
from trainer.engine.finite import FiniteCheck, Guard, scale_of
from trainer.engine.loop import Loop, SegmentSizer
from trainer.engine.steps import SyncStepRunner, TrainState, build, replica_step
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import TaskFailed
from trainer.task import DataContext, Task

NAN = math.nan


@dataclass
class Run:
    """What a guard sees of a run; the test changes it."""

    bad: list[str] = field(default_factory=list)
    lost: int = 0
    scale: float | None = None
    newest: int | None = 100
    asked: int = 0

    def names(self) -> list[str]:
        self.asked += 1
        return self.bad

    def guard(self) -> Guard:
        return Guard(
            not_finite=self.names, lost=lambda: self.lost, scale=lambda: self.scale, newest=lambda: self.newest
        )


def test_guard_ends_a_run_whose_weights_are_not_finite_at_once() -> None:
    run = Run()
    guard = run.guard()
    guard.segment(50, 100, 0.5)
    assert run.asked == 0, "the weights are only looked at when a loss is not finite, and before a save"
    run.lost, run.bad = 20, ["dense/kernel", "dense/bias"]
    with pytest.raises(TaskFailed) as error:
        guard.segment(100, 150, 0.5)
    assert str(error.value).startswith(
        "not a number at step 150: dense/kernel and 1 more are not finite; the loss is not a number since a step "
        "between 101 and 150. The last finite checkpoint is 100. Lower the learning rate"
    )
    assert error.value.code == 1


def test_guard_names_the_only_step_of_a_segment_and_no_checkpoint() -> None:
    run = Run(lost=1, bad=["w"], newest=None)
    with pytest.raises(TaskFailed, match=r"w is not finite; .* since step 7\. There is no finite checkpoint\."):
        run.guard().segment(6, 7, NAN)


def test_guard_ends_a_run_without_a_finite_loss_after_five_segments() -> None:
    run = Run(lost=10)
    guard = run.guard()
    for step in range(10, 50, 10):
        guard.segment(step - 10, step, NAN)
    with pytest.raises(TaskFailed, match=r"no step of the last 5 segments .* since a step between 1 and 10"):
        guard.segment(40, 50, NAN)


@pytest.mark.parametrize("loss", [0.5, None])
def test_guard_lets_a_run_go_on_that_loses_single_steps(loss: float | None) -> None:
    run = Run(lost=1)
    guard = run.guard()
    for step in range(10, 1000, 10):
        guard.segment(step - 10, step, loss)


def test_a_finite_segment_between_ends_the_count() -> None:
    run = Run()
    guard = run.guard()
    for step in range(10, 1000, 10):
        run.lost = 0 if step % 50 == 0 else 10
        guard.segment(step - 10, step, NAN if run.lost else 0.5)


@pytest.mark.parametrize(("scale", "ends"), [(32768.0, False), (1e-3, False), (1e-5, True), (0.0, True), (NAN, True)])
def test_guard_ends_a_run_whose_loss_scale_is_used_up(scale: float, ends: bool) -> None:
    guard = Run(scale=scale).guard()
    if ends:
        with pytest.raises(TaskFailed, match=r"the loss scale fell to .*, because nearly all steps are skipped"):
            guard.segment(0, 10, 0.5)
    else:
        guard.segment(0, 10, 0.5)


class Everything(Task):
    """A model with all kinds of variables."""

    def model(self) -> Any:
        ids = keras.Input((1,), dtype="int64")
        vectors = keras.layers.Flatten()(Embedding(5, 3, name="rows")(ids))
        outputs = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(2, name="dense")(vectors))
        return keras.Model(ids, Mask(name="mask")(outputs))

    def optimizer(self) -> Any:
        return keras.optimizers.Adam(0.1, use_ema=True)

    def loss(self, labels: Any, outputs: Any) -> Any: ...
    def dataset(self, context: DataContext, split: str) -> Any: ...


class Mask(keras.layers.Layer):  # type: ignore[misc]
    """Keeps an infinite constant as a weight, as an attention mask does."""

    def build(self, shape: Any) -> None:
        self.mask = self.add_weight(shape=(2,), initializer=keras.initializers.Constant(-math.inf), trainable=False)

    def call(self, values: Any) -> Any:
        return tf.maximum(values, self.mask)


@pytest.fixture(scope="module")
def everything() -> tuple[TrainState, FiniteCheck]:
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    state = build(Everything({}), strategy, TrainerConfig())
    return state, FiniteCheck(strategy, state)


def values_of(state: TrainState) -> dict[str, Any]:
    """Return each floating variable by its name."""
    [table] = [layer for layer in state.model.layers if isinstance(layer, Embedding)]
    keras_ones = [*state.model.variables, *state.optimizer.variables]
    named = {each.path: each for each in keras_ones if each.value.dtype.is_floating and "mask" not in each.path}
    return {**named, "table": table.table, "accumulator": table.accumulator}


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_one_element_of_any_variable_is_found(everything: tuple[TrainState, FiniteCheck], bad: float) -> None:
    state, finite = everything
    assert finite() == []
    values = values_of(state)
    assert len(values) == 4 + 2 + 1 + 3 * 4 + 2
    for name, variable in values.items():
        before = tf.convert_to_tensor(variable)
        worse = tf.concat([tf.reshape(before, [-1])[:-1], [bad]], axis=0)
        variable.assign(tf.reshape(worse, before.shape))
        [found] = finite()
        assert name in found or name in ("table", "accumulator")
        variable.assign(before)
    assert finite() == []


def test_finite_numbers_of_any_size_are_finite(everything: tuple[TrainState, FiniteCheck]) -> None:
    state, finite = everything
    for variable in values_of(state).values():
        before = tf.convert_to_tensor(variable)
        variable.assign(tf.fill(before.shape, 3e38))
        assert finite() == [], "the sum overflows, the elements do not"
        variable.assign(before)


class Line(Task):
    """A line whose batch `n` is `at(n)` times as large; `policy` decides which task it is."""

    at: Callable[[Any], Any]

    def model(self) -> Any:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype=None)])

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(0.05)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.square(labels - tf.cast(outputs[:, 0], tf.float32))

    def dataset(self, context: DataContext, split: str) -> Any:
        def batch(number: Any) -> Any:
            return tf.ones([8, 3]) * tf.cast(type(self).at(number), tf.float32), tf.fill([8], 3.0)

        return tf.data.Dataset.counter().map(batch)


@dataclass
class Silent:
    """Reports that keep the losses only."""

    losses: list[float | None] = field(default_factory=list)

    def begin(self, step: int) -> None: ...
    def room(self, step: int) -> int:
        return 25

    def segment(self, before: int, step: int, loss: float | None) -> None:
        self.losses.append(loss)


@dataclass
class Outcome:
    """How a training ended."""

    state: TrainState
    saved: list[int]
    losses: list[float | None]
    words: str


def train(at: Callable[[Any], Any], *, steps: int, precision: str) -> Outcome:
    """Train the line with the real steps, loop, guard and check."""
    settings = TrainerConfig(steps=steps, batch_size=8, checkpoint_every=50, precision=precision)
    task = type("Case", (Line,), {"at": staticmethod(at)})({})
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    keras.config.set_dtype_policy(precision)
    try:
        state = build(task, strategy, settings)
    finally:
        keras.config.set_dtype_policy("float32")
    finite = FiniteCheck(strategy, state)
    step = replica_step(task, state, global_batch=8, replicas=1, jit_compile=False)
    data = task.dataset(DataContext(batch_size=8), "train")
    runner = SyncStepRunner(strategy, state, step, strategy.experimental_distribute_dataset(data))
    saved: list[int] = []
    guard = Guard(not_finite=finite, lost=runner.lost, scale=scale_of(state), newest=lambda: max(saved, default=None))
    reports = Silent()

    def save(step: int) -> None:
        guard.weights(step)
        saved.append(step)

    loop = Loop(
        settings=settings, runner=runner, progress=reports, check=guard.segment, save=save,
        stop_requested=lambda: False, sizer=SegmentSizer(),
    )  # fmt: skip
    words = ""
    try:
        loop.run()
    except TaskFailed as error:
        words = str(error)
    return Outcome(state, saved, reports.losses, words)


def never(number: Any) -> Any:
    return 1.0


def once(number: Any) -> Any:
    return tf.where(number == 100, NAN, 1.0)


def often(number: Any) -> Any:
    return tf.where(number % 20 == 19, 1e30, 1.0)


def always(number: Any) -> Any:
    return tf.where(number >= 100, NAN, 1.0)


def test_float32_run_ends_after_one_record_that_is_not_a_number() -> None:
    ended = train(once, steps=400, precision="float32")
    assert re.search(r"at step 125: sequential\S* and 1 more are not finite; .* between 101 and 125\.", ended.words)
    assert ended.saved == [50, 100], "what is saved is finite"


@pytest.mark.parametrize(("at", "skipped"), [(never, 0), (once, 1), (often, 20)])
def test_mixed_float16_run_skips_single_steps_and_ends_finite(at: Callable[[Any], Any], skipped: int) -> None:
    ended = train(at, steps=400, precision="mixed_float16")
    assert ended.words == ""
    assert ended.saved[-1] == 400
    updates = int(ended.state.optimizer.iterations.numpy())
    assert 395 - skipped <= updates <= 400 - skipped, "the first scale is too high for some steps"
    losses = [loss for loss in ended.losses if loss is not None and math.isfinite(loss)]
    assert len(losses) == len(ended.losses), "the mean is that of the finite steps"
    assert losses[-1] < 1e-2


def test_mixed_float16_run_without_updates_ends() -> None:
    ended = train(always, steps=400, precision="mixed_float16")
    assert re.search(r"at step 150: the loss scale fell to .* since a step between 101 and 125\.", ended.words)
    assert ended.saved == [50, 100]
    updates = int(ended.state.optimizer.iterations.numpy())
    assert 95 <= updates <= 100, "the first scale is too high for some steps"
