"""What the replicas of a run hold in copies of their own: moving statistics, counters and random numbers.

A layer's non-trainable variables are a copy per replica, and each replica updates its own: batch normalization's moving
statistics, for example. A checkpoint holds one value of each, so the copies are brought together before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

from trainer import embedding
from trainer.runtime.types import Model, Strategy, Tensor, Variable
from trainer.storage.checkpoints import numbered

Generator: TypeAlias = keras.random.SeedGenerator

_SEED: Final = "seed_generator_state"
_APART: Final = 1_000_003
"""The distance between the seeds of two neighboring replicas: a user's own seeds tend to be neighbors."""
_STEP: Final = 7_919
"""The distance between the seeds of two neighboring steps, for what starts again at each restart."""


def counted(model: Model) -> list[Variable]:
    """Return the variables of `model` that its layers update themselves, as `tf.Variable`.

    A frozen weight is not one of them: it was created trainable, and the optimizer leaves it alone. Nor are the states
    of random numbers and the accumulators of embedding tables, which all replicas update alike.
    """
    found = [each.value for each in model.non_trainable_variables if not each.path.endswith(_SEED)]
    for layer in model._flatten_layers():
        if not isinstance(layer, embedding.Embedding):  # Keras does not list variables that a layer creates itself.
            found += [each for each in vars(layer).values() if isinstance(each, tf.Variable)]
    return [each for each in found if not each.trainable and each.dtype != tf.string]


def seeds(model: Model, unseeded: Generator) -> list[Variable]:
    """Return the states of all random numbers of Keras: those of the layers of `model`, and that of `unseeded`."""
    return [*(each for each in model.non_trainable_variables if each.path.endswith(_SEED)), unseeded.state]


def saved(model: Model, unseeded: Generator) -> dict[str, tf.Module]:
    """Return what to save beyond `model`, so that new random numbers are drawn after a restart.

    Keras' generators are not objects that TensorFlow's checkpoints find in a model.
    """
    return {"random": numbered(seeds(model, unseeded))}


def draw_unseeded_from(unseeded: Generator) -> None:
    """Have the random operations of Keras that are called without a seed draw from `unseeded`; call it in a replica.

    Keras keeps a generator per thread, each replica is traced in a thread of its own, and a replica cannot create one.
    """
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, unseeded)


@contextmanager
def drawing_apart() -> Iterator[None]:
    """Have the workers of ParameterServer draw different numbers of Keras in the block, which traces their graph.

    The workers share one state per generator, and two of them may read the same one.
    """
    draw = Generator.next

    def draw_apart(generator: Generator, ordered: bool = True) -> Tensor:
        state = draw(generator, ordered)
        return state + tf.random.uniform([2], maxval=2**31 - 1, dtype=state.dtype)

    Generator.next = draw_apart
    try:
        yield
    finally:
        Generator.next = draw


class Copies:
    """The copies that the replicas of a strategy have of what the layers of a model update."""

    def __init__(self, strategy: Strategy, model: Model, unseeded: Generator) -> None:
        several = strategy.num_replicas_in_sync > 1
        self._strategy = strategy
        alone = tf.VariableAggregation.NONE
        self._counted = [each for each in counted(model) if each.aggregation == alone] if several else []
        self._seeds = [each.value for each in seeds(model, unseeded)] if several else []
        self._mean = tf.function(lambda: strategy.run(self._take_mean))

    def bring_together(self) -> None:
        """Set each variable to its mean over all replicas; every task must call it at the same step.

        The mean of whole numbers is rounded, and that of booleans is what most replicas have.
        """
        if self._counted:
            self._mean()

    def _take_mean(self) -> None:
        # In float64 the mean of equal numbers is exactly that number, for any number of replicas.
        values = [tf.cast(each, tf.float64) for each in self._counted]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for variable, mean in zip(self._counted, means, strict=True):
            variable.assign(tf.cast(mean if variable.dtype.is_floating else tf.round(mean), variable.dtype))

    def draw_apart(self, *, seed: int, step: int) -> None:
        """Have each replica draw random numbers of its own, others than before `step`; call it after the restore.

        A checkpoint has the states of replica 0. The others start from them at a distance that depends on their number
        alone, so that each continues after a restart where it was. TensorFlow's own random operations have no state:
        they start again from `seed` and `step`.
        """
        first = 0
        if self._seeds:
            replicas = tf.function(lambda: self._strategy.run(_shift, args=(self._seeds,)))()
            first = int(self._strategy.experimental_local_results(replicas)[0])
        # These operations take their seeds from here and from their place in the graph.
        tf.random.set_seed((seed + step * _STEP + first * _APART) % 2**63)


def _shift(states: Sequence[Variable]) -> Tensor:
    """Move the random numbers of this replica away from those of the others; return its number."""
    replica = tf.convert_to_tensor(tf.distribute.get_replica_context().replica_id_in_sync_group)
    for each in states:
        each.assign(each + tf.stack([tf.cast(replica, tf.int64) * _APART, 0]))
    return replica
