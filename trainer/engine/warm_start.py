"""A warm start: the weights and the optimizer's slots of another run, and its counters only if the job file keeps them.

The slots have the size of the weights, such as Adam's two moments. The counters are the iterations and what an
optimizer derives from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from trainer.engine import averages
from trainer.engine.gradients import count_from_0, nested
from trainer.runtime.types import Optimizer
from trainer.storage.checkpoints import literal


@contextmanager
def own_rate(optimizer: Optimizer) -> Iterator[None]:
    """Keep the constant learning rate of `optimizer` while the state of another run is restored into it.

    Keras saves a constant rate with the optimizer, so the rate of the other run would replace that of the job file.
    """
    rates = [getattr(each, "learning_rate", None) for each in nested(optimizer)]  # MultiOptimizer has none
    own = [(rate, rate.numpy()) for rate in rates if isinstance(rate, keras.Variable)]
    yield
    for rate, value in own:
        rate.assign(value)


def begin_again(optimizer: Optimizer) -> None:
    """Set the counters of `optimizer` to step 0 and keep its slots and its loss scale.

    Then a schedule begins at its start. Adam and its relatives correct their moments as if these began at 0. So their
    first steps are smaller: 0.3 of the usual length at once, 0.15 after 20 steps, 0.8 after 1,000 steps.
    """
    for each in nested(optimizer):
        count_from_0(each)
        if isinstance(each, keras.optimizers.Nadam):  # a product over all iterations
            each._u_product.assign(1.0)
        if isinstance(each, keras.optimizers.LossScaleOptimizer):
            each.step_counter.assign(0)
    # At iteration 0, Keras sets the averages to the weights.
    averages.begin(optimizer)


def part_of(path: str, optimizer: Optimizer) -> tf.train.Checkpoint | Optimizer:
    """Return what to restore the part `optimizer` of the checkpoint at `path` into.

    One of the two runs may have loss scaling, which Keras puts around the optimizer.
    """
    with literal(path) as place:
        there = any(name.startswith("optimizer/inner_optimizer/") for name, _ in tf.train.list_variables(place))
    here = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if there == here:
        return optimizer
    return optimizer.inner_optimizer if here else tf.train.Checkpoint(inner_optimizer=optimizer)
