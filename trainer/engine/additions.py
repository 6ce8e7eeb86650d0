"""What a model adds to the loss of the task: `add_loss`, and the regularizers of activities and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from trainer.engine.calling import calling
from trainer.runtime.errors import InvalidTask, Words
from trainer.runtime.types import Model, Tensor


def split(model: Model) -> tuple[list[Tensor], list[Tensor]]:
    """Return the losses that the layers of `model` added in its last call, and those of its weights."""
    losses = list(model.losses)
    added = len(losses) - sum(each.regularizer is not None for each in model.trainable_weights)
    return losses[:added], losses[added:]


def require_means(model: Model, features: Tensor) -> None:
    """Refuse added losses that are sums, because each replica adds the sum of its part of the batch only.

    A mean stays the same where each example is there twice, and a sum does not.

    Args:
        model: The model, which has its variables.
        features: Dense features of a batch, `[batch, ...]`.

    Raises:
        InvalidTask: An added loss grows with the number of examples.

    """
    with calling("model()"):
        once = _added(model, features)
        if not once:
            return
        again = _added(model, features)
    try:
        doubled = _added(model, tf.nest.map_structure(lambda each: tf.concat([each, each], axis=0), features))
    except Exception:  # noqa: BLE001, RUF100 - a model may have one size of the batch
        return
    for each, same, other in zip(once, again, doubled, strict=True):
        # Otherwise the model draws random numbers.
        if _close(each, same) and not _close(each, other):
            raise InvalidTask(
                "model()",
                got=Words(f"an added loss that is {each:.6g} for a batch and {other:.6g} for twice its examples"),
                expected="the mean over the examples, for several replicas",
                fix="Give add_loss() the mean, or set strategy: OneDevice",
            )


def _added(model: Model, features: Tensor) -> list[float]:
    model(features, training=False)
    return [float(_sum([each])) for each in split(model)[0]]


def _close(first: float, second: float) -> bool:
    # Half precision has 8 to 11 bits.
    return math.isclose(first, second, rel_tol=0.05, abs_tol=1e-6)


class Additions:
    """The losses that a model adds in the steps of the replicas of this process."""

    def __init__(self, model: Model, replicas: int) -> None:
        """Prepare the steps of `model` on `replicas` replicas."""
        self._model, self._replicas = model, replicas
        self._taken: dict[int, Tensor] = {}

    def share(self, part: Tensor) -> Tensor:
        """Return the share of this replica, which has the `part` of all examples: a float32 scalar.

        An added loss is a mean over the examples of the replica.

        Raises:
            InvalidTask: Another replica has added one of the losses, or one is not a scalar on several replicas.

        """
        added, of_weights = split(self._model)
        self._require_scalars(added)
        self._require_own(added)
        return part * _sum(added) + _sum(of_weights) / self._replicas

    def _require_scalars(self, added: Sequence[Tensor]) -> None:
        """Refuse one loss per example on several replicas: Keras sums them, and a sum depends on the size of a part."""
        for each in added if self._replicas > 1 else ():
            if each.shape.rank != 0:
                raise InvalidTask(
                    "model()",
                    got=Words(f"a loss of shape {each.shape} from add_loss()"),
                    expected="a scalar, the mean over the examples, for several replicas",
                    fix="Give add_loss() the mean, or set strategy: OneDevice",
                )

    def _require_own(self, added: Sequence[Tensor]) -> None:
        """Refuse losses of another replica.

        Keras keeps the losses of a call in the layer. A replica that waits in the middle of a call for the others, as
        in a synchronized layer, finds theirs in place of its own.
        """
        for each in filter(tf.is_symbolic_tensor, added):
            if id(each) in self._taken:
                raise InvalidTask(
                    "model()",
                    got=Words("add_loss() or an activity regularizer, and a layer with synchronized=True"),
                    expected="at most one of them for several replicas in one task",
                    fix="Remove synchronized=True, or set one GPU per task",
                )
            self._taken[id(each)] = each


def _sum(losses: Sequence[Tensor]) -> Tensor:
    # In half precision, the loss of a weight is float32 and that of an activation is not. Keras sums one per example.
    return tf.add_n([tf.reduce_sum(tf.cast(each, tf.float32)) for each in losses]) if losses else tf.constant(0.0)
