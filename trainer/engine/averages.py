"""The averages that an optimizer with `use_ema` keeps of the weights: they are what is evaluated and exported."""

from __future__ import annotations

import tensorflow as tf

from trainer.engine.gradients import nested
from trainer.runtime.types import Model, Optimizer, Variable
from trainer.storage.checkpoints import numbered


def _pairs(optimizer: Optimizer) -> list[tuple[Variable, Variable]]:
    """Return each variable of which `optimizer` keeps an average, with that average."""
    return [
        (variable, average)
        for each in nested(optimizer)
        if each.use_ema and each.built
        for variable, average in zip(each._trainable_variables, each._model_variables_moving_average, strict=True)
        if average is not None
    ]


def begin(optimizer: Optimizer) -> None:
    """Begin the averages of `optimizer`, which is built, at the weights.

    Keras begins at 0 and counts from the first update on, which loss scaling may delay.
    """
    for variable, average in _pairs(optimizer):
        average.assign(variable)


def saved(optimizer: Optimizer, model: Model) -> dict[str, tf.Module]:
    """Return what to save beyond `optimizer`, so that its averages can be restored into a model's weights."""
    averages = {id(variable): average for variable, average in _pairs(optimizer)}
    places = [averages.get(id(variable)) for variable in model.trainable_variables]
    return {"averages": numbered(places)} if averages else {}
