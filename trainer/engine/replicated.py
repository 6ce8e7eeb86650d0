"""What the replicas of a run hold in copies of their own: moving statistics, counters and random numbers.

A layer's non-trainable variables are a copy per replica, and each replica updates its own: batch normalization's moving
statistics, for example. A checkpoint holds one value of each, so the copies are brought together before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from trainer.runtime.types import Model, Strategy, Tensor, Variable
from trainer.storage.checkpoints import numbered

_SEED: Final = "seed_generator_state"
_APART: Final = 1_000_003
"""The distance between the seeds of two neighboring replicas: a user's own seeds tend to be neighbors."""
_STEP: Final = 7_919
"""The distance between the seeds of two neighboring steps, for what starts again at each restart."""


def counted(model: Model) -> list[Variable]:
    """Return the variables of `model` that its layers update themselves, without the states of random numbers.

    A frozen weight is not one of them: it was created trainable, and the optimizer leaves it alone.
    """
    return [
        each
        for each in model.non_trainable_variables
        if not each.path.endswith(_SEED) and not each.value.trainable and each.value.dtype != tf.string
    ]


def seeds(model: Model) -> list[Variable]:
    """Return the states of the random numbers of the layers of `model`."""
    return [each for each in model.non_trainable_variables if each.path.endswith(_SEED)]


def saved(model: Model) -> dict[str, tf.Module]:
    """Return what to save beyond `model`, so that its layers draw new random numbers after a restart.

    Keras' generators are not objects that TensorFlow's checkpoints find in a model.
    """
    states = seeds(model)
    return {"random": numbered(states)} if states else {}


class Copies:
    """The copies that the replicas of a strategy have of what the layers of a model update."""

    def __init__(self, strategy: Strategy, model: Model) -> None:
        several = strategy.num_replicas_in_sync > 1
        self._strategy = strategy
        self._counted = [each.value for each in counted(model) if each.aggregation == "none"] if several else []
        self._seeds = [each.value for each in seeds(model)] if several else []
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
        alone, so that each continues after a restart where it was. Numbers that no layer has a state for start again
        from `seed` and `step`.
        """
        start, first = seed + step * _STEP, 0
        if self._strategy.num_replicas_in_sync == 1:
            # Otherwise Keras does not find it: each replica runs in a thread of its own.
            with self._strategy.scope():
                global_seed_generator().state.assign([start, 0])
        else:
            replicas = tf.function(lambda: self._strategy.run(_shift, args=(self._seeds,)))()
            first = int(self._strategy.experimental_local_results(replicas)[0])
        # TensorFlow's own random operations take their seeds from here and from their place in the graph.
        tf.random.set_seed((start + first * _APART) % 2**63)


def _shift(states: Sequence[Variable]) -> Tensor:
    """Move the random numbers of this replica away from those of the others; return its number."""
    replica = tf.convert_to_tensor(tf.distribute.get_replica_context().replica_id_in_sync_group)
    for each in states:
        each.assign(each + tf.stack([tf.cast(replica, tf.int64) * _APART, 0]))
    return replica
