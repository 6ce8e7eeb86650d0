"""What a run saves beyond its model and its optimizer, because TensorFlow does not find it there.

TensorFlow's checkpoints follow attributes. Keras wraps lists and dicts so that it finds the layers and variables in
them, but TensorFlow does not. Examples are the blocks of a transformer in `self.blocks = [...]`, `MultiOptimizer` and
`StackedRNNCells`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import keras
import tensorflow as tf

from trainer.runtime.types import Json, Model, Optimizer, Variable
from trainer.storage.checkpoints import numbered

_VARIABLES: Final = (tf.Variable, keras.Variable)
PARTS: Final = ("layers", "optimizers")
"""The names of these parts in a checkpoint."""


def of_model(model: Model) -> dict[str, tf.Module]:
    """Return what to save and restore beyond `model`: its layers and variables in lists and dicts."""
    return _part(PARTS[0], model, [*model._flatten_layers(), *model.weights])


def variables(model: Model) -> list[Variable]:
    """Return all that a checkpoint of `model` contains, in an order that depends only on its structure."""
    root = tf.train.Checkpoint(model=model, **of_model(model))
    return [each for each in tf.train.TrackableView(root).descendants() if isinstance(each, _VARIABLES)]


def saved(optimizer: Optimizer, model: Model) -> dict[str, tf.Module]:
    """Return what to save beyond `optimizer`, which is built, and `model`."""
    return {**of_model(model), **_part(PARTS[1], optimizer, optimizer.variables)}


def identities(variables: Iterable[Variable]) -> set[int]:
    """Return the identities of `variables`, of Keras or of TensorFlow, as TensorFlow has them in its graphs."""
    return {id(each.value if isinstance(each, keras.Variable) else each) for each in variables}


def _part(name: str, owner: Json, held: Iterable[Json]) -> dict[str, tf.Module]:
    """Return those of `held` that TensorFlow does not find in `owner`, as the part `name`; empty if it finds all."""
    found = {id(each) for each in tf.train.TrackableView(owner).descendants()}
    missing = [each for each in held if id(each) not in found]
    return {name: numbered(missing)} if missing else {}
