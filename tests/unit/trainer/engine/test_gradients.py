"""What is refused about an optimizer, how loss scaling acts, and which averages are evaluated.

tests/integration/test_numbers.py tries the strategies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.grammar import GRAMMAR
from trainer import embedding
from trainer.engine import averages, gradients, steps
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError
from trainer.runtime.types import Model
from trainer.storage.checkpoints import Checkpoints, restore_model
from trainer.task import Task

pytestmark = pytest.mark.slow

LossScale = keras.mixed_precision.LossScaleOptimizer


def model(*layers: Any) -> Model:
    return keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1, kernel_initializer="ones")])


def refusal(optimizer: Any, strategy: Any, *, of: Model | None = None, jit: bool = False) -> str:
    """Return how `optimizer` and the model are refused under `strategy`."""
    tried = of or model()
    optimizer.build(tried.trainable_variables)
    with pytest.raises(ConfigError) as error:
        gradients.refuse(tried, optimizer, strategy, jit_compile=jit)
    assert GRAMMAR.fullmatch(str(error.value))
    return str(error.value)


def server() -> Any:
    """Return an object that counts as a ParameterServerStrategy; a real one needs its servers."""
    return object.__new__(tf.distribute.ParameterServerStrategy)


def mirrored() -> Any:
    """Return an object that counts as a strategy of two replicas; a real one needs two devices."""

    class Two:
        num_replicas_in_sync = 2

    return Two()


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_optimizer_that_is_not_from_keras_is_refused_by_its_class(precision: str) -> None:
    class Own:
        pass

    with pytest.raises(ConfigError, match=r"optimizer\(\): got Own; expected a keras.optimizers.Optimizer\. "):
        gradients.scaled(Own(), precision)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"gradient_accumulation_steps": 4}, "optimizer().gradient_accumulation_steps: got 4; "),
        ({"use_ema": True, "ema_overwrite_frequency": 10}, "optimizer().ema_overwrite_frequency: got 10; "),
    ],
)
@pytest.mark.parametrize("wrap", [lambda each: each, LossScale])
def test_decision_of_all_replicas_is_refused_for_parameter_server(options: Any, key: str, wrap: Any) -> None:
    assert refusal(wrap(keras.optimizers.Adam(0.1, **options)), server()).startswith(key)
    plain = wrap(keras.optimizers.Adam(0.1, use_ema=True))
    plain.build(model().trainable_variables)
    gradients.refuse(model(), plain, server(), jit_compile=False)


def test_synchronized_layer_with_xla_is_refused_by_its_name() -> None:
    norm = keras.layers.BatchNormalization(synchronized=True, name="mine")
    nested = model(keras.Sequential([keras.Input((2,)), norm]))
    text = refusal(keras.optimizers.SGD(), mirrored(), of=nested, jit=True)
    assert text.startswith("trainer.jitCompile: got true; ")
    assert "the layer mine" in text
    for strategy, jit in ((mirrored(), False), (tf.distribute.get_strategy(), True)):
        gradients.refuse(nested, keras.optimizers.SGD(), strategy, jit_compile=jit)


@pytest.mark.parametrize("wrap", [lambda layer: layer, keras.layers.Bidirectional])
def test_stateful_layer_is_refused_by_its_name(wrap: Any) -> None:
    layer = wrap(keras.layers.GRU(2, stateful=True, name="memory"))
    tried = keras.Sequential([keras.Input(batch_shape=(4, 3, 1)), keras.Sequential([layer]), keras.layers.Dense(1)])
    for strategy, name in ((mirrored(), "several replicas"), (server(), "ParameterServer")):
        message = refusal(keras.optimizers.SGD(), strategy, of=tried)
        assert f"the layer {layer.name} with stateful=True; expected no stateful layer for {name}. Remove" in message
    gradients.refuse(tried, keras.optimizers.SGD(), tf.distribute.OneDeviceStrategy("/cpu:0"), jit_compile=False)


def test_variables_that_gradients_overwrite_are_refused_for_several_replicas() -> None:
    tried = model()
    tried.trainable_variables[0].overwrite_with_gradient = True
    text = refusal(keras.optimizers.SGD(), mirrored(), of=tried)
    assert text.startswith("model(): got the float8 variable ")
    gradients.refuse(tried, keras.optimizers.SGD(), tf.distribute.get_strategy(), jit_compile=False)


class Tables(Task):
    """A model with a table, and the optimizer `scaling`."""

    scaling: Any = keras.optimizers.SGD

    def model(self) -> Model:
        ids = keras.Input((2,), dtype="int64")
        return keras.Model(ids, keras.layers.Dense(1)(keras.layers.Flatten()(embedding.Embedding(5, 2)(ids))))

    def optimizer(self) -> Any:
        return self.scaling()

    def loss(self, labels: Any, outputs: Any) -> Any:
        raise NotImplementedError

    def dataset(self, context: Any, split: str) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("precision", "scaling", "key"),
    [
        ("mixed_float16", keras.optimizers.SGD, 'trainer.precision: got "mixed_float16"; '),
        ("float32", lambda: LossScale(keras.optimizers.SGD()), "optimizer(): got LossScaleOptimizer; "),
    ],
)
def test_loss_scaling_is_refused_for_embedding_tables(precision: str, scaling: Any, key: str) -> None:
    task = Tables({})
    task.scaling = scaling
    settings = TrainerConfig(batch_size=2, precision=precision)
    with pytest.raises(ConfigError) as error:
        steps.build(task, tf.distribute.get_strategy(), settings)
    assert str(error.value).startswith(key)
    assert GRAMMAR.fullmatch(str(error.value))


class Wrapper(keras.optimizers.Optimizer):  # type: ignore[misc]
    """An optimizer of a user that wraps others, in attributes of its own."""

    def __init__(self, *inner: Any) -> None:
        super().__init__(learning_rate=0.1)
        self.fast, self.others = inner[0], {"more": list(inner[1:])}


def test_every_optimizer_that_another_one_wraps_is_found() -> None:
    first, second, third = keras.optimizers.SGD(), keras.optimizers.Adam(), keras.optimizers.Lion()
    both = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(first, {"a/.*": second}))
    own = Wrapper(both, third)
    scaled = gradients.scaled(own, "mixed_float16")
    assert {id(each) for each in gradients.nested(scaled)} == {
        id(each) for each in (scaled, own, both, first, second, third)
    }
    assert gradients.scaled(scaled, "mixed_float16") is scaled
    assert gradients.scaled(first, "float32") is first


def applied(optimizer: Any, *shares: list[float], scale: float | None = None) -> Any:
    """Return the weight after steps with these gradients, which are scaled by `scale` or by the current scale."""
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    for share in shares:
        used = optimizer.scale_loss(tf.constant(1.0)) if scale is None else tf.constant(scale)
        gradients.apply(optimizer, [tf.constant(share) * used], [variable], used)
    return variable.numpy()[0]


def test_gradient_is_divided_by_the_scale_that_its_loss_was_multiplied_by() -> None:
    # Another worker has changed the scale since.
    optimizer = LossScale(keras.optimizers.SGD(0.5), initial_scale=8.0)
    assert applied(optimizer, [1.0], scale=16.0) == 0.5


def test_step_that_overflows_is_skipped_and_halves_the_scale() -> None:
    optimizer = LossScale(keras.optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=2)
    assert applied(optimizer, [np.inf]) == 1.0
    assert float(optimizer.dynamic_scale) == 4.0
    assert int(optimizer.iterations) == 0


def test_loss_scale_stays_between_its_bounds() -> None:
    optimizer = LossScale(keras.optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=1)
    assert applied(optimizer, *[[np.nan]] * 200) == 1.0
    assert float(optimizer.dynamic_scale) == gradients.LOWEST_SCALE
    optimizer = LossScale(keras.optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=1)
    assert applied(optimizer, *[[0.0]] * 200) == 1.0
    assert float(optimizer.dynamic_scale) == gradients.HIGHEST_SCALE


@pytest.mark.parametrize("counted", [0, 1, 2, 5])
def test_growth_is_not_missed_when_workers_lose_or_repeat_a_count(counted: int) -> None:
    optimizer = LossScale(keras.optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=3)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    optimizer.step_counter.assign(counted)
    for _ in range(3 - min(counted, 2)):
        assert float(optimizer.dynamic_scale) == 8.0
        gradients.apply(optimizer, [tf.constant([0.0])], [variable], optimizer.scale_loss(tf.constant(1.0)))
    assert float(optimizer.dynamic_scale) == 16.0
    assert int(optimizer.step_counter) == 0


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_averages_are_restored_and_the_trained_weights_are_left_alone(tmp_path: Path, precision: str) -> None:
    trained = model()
    optimizer = gradients.scaled(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5), precision)
    optimizer.build(trained.trainable_variables)
    averages.begin(optimizer)
    parts = {"model": trained, "optimizer": optimizer, **averages.saved(optimizer, trained)}
    saver = Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, **parts)
    fresh = model()
    restore_model(saver.save(0).path, fresh)
    np.testing.assert_array_equal(fresh.get_weights()[0], [[1.0], [1.0]])
    scale = optimizer.scale_loss(tf.constant(1.0))
    for _ in range(2):
        shares = [scale * tf.ones_like(each) for each in trained.trainable_variables]
        gradients.apply(optimizer, shares, trained.trainable_variables, scale)
    restore_model(saver.save(2).path, fresh)
    np.testing.assert_array_equal(trained.get_weights()[0], [[0.0], [0.0]])
    np.testing.assert_array_equal(fresh.get_weights()[0], [[0.25], [0.25]])


def test_weights_are_restored_where_no_averages_are_kept(tmp_path: Path) -> None:
    trained = model()
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(trained.trainable_variables)
    assert averages.saved(optimizer, trained) == {}
    saver = Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, model=trained, optimizer=optimizer)
    trained.set_weights([np.full((2, 1), 3.0), np.zeros(1)])
    fresh = model()
    restore_model(saver.save(1).path, fresh)
    np.testing.assert_array_equal(fresh.get_weights()[0], [[3.0], [3.0]])
