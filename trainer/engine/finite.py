"""Numbers that are not finite: in the loss, in what a run trains and in the state of its optimizer.

A weight that is not a number never becomes one again. So such a checkpoint is not saved, and the run ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import tensorflow as tf

from trainer import embedding
from trainer.engine.consensus import Consensus
from trainer.engine.steps import TrainState
from trainer.runtime.errors import TaskFailed
from trainer.runtime.logs import log
from trainer.runtime.types import Strategy, Tensor, Variable

_SEGMENTS: Final = 5
"""Consecutive segments without a finite loss that end a run whose weights are finite."""
_LOWEST_SCALE: Final = 1e-4
"""Loss scale below which a run ends. From Keras' first scale, it takes 29 more skipped steps than doublings."""
_ADVICE: Final = (
    "Lower the learning rate, clip the gradients, or look for values that are not finite in the data. "
    "Then run tfd new TEAM/NEW --from TEAM/RUN --warm-start"
)


class FiniteCheck:
    """Finds the variables of a run that are not finite. All tasks of a MultiWorkerMirrored run must call it together.

    It watches all weights, what layers count and the state of the optimizer. A layer may keep an infinite constant,
    such as that of a mask. So it does not watch what begins infinite and is not trained.
    """

    def __init__(self, strategy: Strategy, state: TrainState, consensus: Consensus | None = None) -> None:
        """Choose the variables of `state`, before anything is restored into them.

        Args:
            strategy: The strategy of the run.
            state: What the run trains and saves.
            consensus: Adds up the findings of the workers; None if one task holds all variables.

        """
        self._consensus = consensus
        found = [*state.model.trainable_variables, *state.optimizer.variables]
        for table in embedding.tables(state.model):
            found += [*table.pieces, *getattr(table.accumulator, "variables", [table.accumulator])]
        found += [each for each in state.model.non_trainable_variables if _begins_finite(each)]
        found = [each for each in found if _is_floating(each)]
        self._names = [getattr(each, "path", each.name) for each in found]
        self._copies = [strategy.experimental_local_results(_value(each)) for each in found]
        # To trace a graph takes longer than to run all of its operations one by one. But for the variables of other
        # tasks, each of these operations would be a message. The graph is created now, while all servers answer.
        server = isinstance(strategy, tf.distribute.ParameterServerStrategy)
        graph = tf.function(self._sum_of_all, autograph=False)
        self._sum = graph.get_concrete_function() if server else self._sum_of_all

    def __call__(self) -> list[str]:
        """Return the names of the variables that are not finite on any replica."""
        # Sums need no memory of the size of a variable, but very large numbers overflow in them.
        if not any(self._of_all_workers([int(not math.isfinite(float(self._sum())))])):
            return []
        counts = self._of_all_workers([int(any(map(_is_bad, copies))) for copies in self._copies])
        return [name for name, bad in zip(self._names, counts, strict=True) if bad]

    def _of_all_workers(self, counts: list[int]) -> list[int]:
        return self._consensus.sum(*counts) if self._consensus else counts

    def _sum_of_all(self) -> Tensor:
        """Return the sum of all elements of all variables."""
        sums = []
        for variable in (each for copies in self._copies for each in copies):
            with tf.device(variable.device):
                sums.append(tf.cast(tf.reduce_sum(_wide(variable)), tf.float32))
        return tf.add_n(sums) if sums else tf.constant(0.0)


def _value(variable: Variable) -> Variable:
    return variable.value if hasattr(variable, "path") else variable


def _is_floating(variable: Variable) -> bool:
    return bool(_value(variable).dtype.is_floating)


def _begins_finite(variable: Variable) -> bool:
    return _is_floating(variable) and not _is_bad(tf.convert_to_tensor(variable))


def _is_bad(values: Tensor) -> bool:
    """Return whether an element of `values` is not finite."""
    with tf.device(values.device):
        return not bool(tf.reduce_all(tf.math.is_finite(values)))


def _wide(values: Tensor) -> Tensor:
    """Return `values` in a type in which a sum of many elements does not overflow soon."""
    return tf.cast(values, tf.float32) if values.dtype.size < tf.float32.size else tf.convert_to_tensor(values)


class Guard:
    """Ends a run whose numbers do not become finite any more."""

    def __init__(
        self,
        *,
        not_finite: Callable[[], list[str]],
        lost: Callable[[], int],
        scale: Callable[[], float | None],
        newest: Callable[[], int | None],
    ) -> None:
        """Prepare the checks.

        Args:
            not_finite: Returns the names of the variables that are not finite.
            lost: Returns the number of steps without a finite loss in the last segment.
            scale: Returns the loss scale; None for a run without loss scaling.
            newest: Returns the step of the newest checkpoint; None if there is none.

        """
        self._not_finite, self._lost, self._scale, self._newest = not_finite, lost, scale, newest
        self._since: tuple[int, int] | None = None
        self._segments = 0

    def segment(self, before: int, step: int, loss: float | None) -> None:
        """Check a segment that ran from step `before` to `step` with the mean `loss` of its finite steps.

        Raises:
            TaskFailed: the weights are not finite, the loss was not for some segments, or no update is possible.

        """
        if lost := self._lost():
            self._since = self._since or (before + 1, step)
            log.info("warning: the loss of %d of %d steps is not a number", lost, step - before)
            self.weights(step)
        else:
            self._since = None
        self._segments = self._segments + 1 if loss is not None and not math.isfinite(loss) else 0
        if self._segments >= _SEGMENTS:
            raise self._end(step, f"no step of the last {_SEGMENTS} segments has a finite loss")
        scale = self._scale()
        if scale is not None and not scale >= _LOWEST_SCALE:
            raise self._end(step, f"the loss scale fell to {scale:.1g}, because nearly all steps are skipped")

    def weights(self, step: int) -> None:
        """Check the weights and the state of the optimizer at `step`.

        Raises:
            TaskFailed: they are not finite.

        """
        if names := self._not_finite():
            more = len(names) - 1
            raise self._end(step, f"{names[0]} and {more} more are not finite" if more else f"{names[0]} is not finite")

    def _end(self, step: int, what: str) -> TaskFailed:
        since = ""
        if self._since:
            first, last = self._since
            place = f"step {first}" if first == last else f"a step between {first} and {last}"
            since = f"; the loss is not a number since {place}"
        newest = self._newest()
        kept = "There is no finite checkpoint" if newest is None else f"The last finite checkpoint is {newest}"
        return TaskFailed(f"not a number at step {step}: {what}{since}. {kept}. {_ADVICE}.")


def scale_of(state: TrainState) -> Callable[[], float | None]:
    """Return the function that returns the loss scale of the optimizer, None without loss scaling."""
    variable = getattr(state.optimizer, "dynamic_scale", None)
    return lambda: None if variable is None else float(tf.convert_to_tensor(variable).numpy())
