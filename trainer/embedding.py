"""Embedding tables that ParameterServer shards over its ps and updates row by row.

The cost of a step depends on the number of rows in its batch, not on the size of the table. The layer looks up only
these rows, and sends and applies only their gradients, on the ps that stores them. Keras' own embedding layer cannot do
this, because a Keras variable is never sharded. Therefore `Embedding` creates plain TensorFlow variables and updates
them itself. The task's optimizer trains all other variables. A checkpoint stores each table as one tensor, so that a
run with another number of ps can restore it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import keras
import tensorflow as tf

from trainer.runtime.logs import log
from trainer.runtime.types import Json, Model, Strategy, Tensor, Variable

SHARD_BYTES: Final = 256 * 1024
"""Minimum size of a shard. Each shard costs some requests per step. A table has at most one shard per ps."""
_is_table: ContextVar[bool] = ContextVar("is_table", default=False)


def partitioner(servers: int) -> Callable[..., list[int]]:
    """Return the variable partitioner of a ParameterServerStrategy with `servers` ps.

    It shards only the tables of `Embedding`, by their size, because a Keras variable cannot be sharded.
    """
    by_size = tf.distribute.experimental.partitioners.MinSizePartitioner(SHARD_BYTES, max_shards=servers)

    def pieces(shape: tf.TensorShape, dtype: tf.DType, **_: object) -> list[int]:
        return list(by_size(shape, dtype)) if _is_table.get() else [1] * shape.rank

    return pieces


@contextmanager
def _creating_a_table() -> Iterator[None]:
    token = _is_table.set(True)
    try:
        yield
    finally:
        _is_table.reset(token)


class Embedding(keras.layers.Layer):  # type: ignore[misc]
    """A table of `rows` x `width` float32: ids `[...]` (integers from 0 to `rows` - 1) -> vectors `[..., width]`.

    Adagrad trains the table: rare rows take larger steps. With `trainable=False` the table stays as it is.
    """

    def __init__(
        self, rows: int, width: int, *, learning_rate: float = 0.05, spread: float = 0.05, **kwargs: Json
    ) -> None:
        """Set the size and the training of the table.

        Args:
            rows: Number of ids.
            width: Length of each vector.
            learning_rate: Learning rate of Adagrad.
            spread: The initial values are uniform between -spread and spread.
            kwargs: Arguments of `keras.layers.Layer`.

        """
        super().__init__(**kwargs)
        self.rows, self.width, self.learning_rate, self.spread = rows, width, learning_rate, spread
        self.table: Variable = None
        self.accumulator: Variable = None

    def build(self, input_shape: object) -> None:
        """Create the table and its accumulator. A ParameterServerStrategy shards both over its ps."""
        del input_shape
        shape = (self.rows, self.width)

        def initial(partition_shape: Sequence[int] = shape, **_: object) -> Tensor:
            return tf.random.uniform(tuple(partition_shape), -self.spread, self.spread)

        with _creating_a_table():
            self.table = tf.Variable(initial, shape=shape, dtype=tf.float32, name=f"{self.name}_table")
        self.accumulator = self._colocated_accumulator()
        self.built = True
        if len(self.pieces) > 1:
            log.info("embedding table %s: %d x %d in %d shards", self.name, self.rows, self.width, len(self.pieces))

    def _colocated_accumulator(self) -> Variable:
        """Return Adagrad's sums of squares. Each piece is on the device of its piece of the table."""
        pieces = []
        for piece in self.pieces:
            with tf.distribute.get_strategy().extended.colocate_vars_with(piece):
                start = tf.fill(piece.shape, 1e-8)
                pieces.append(tf.Variable(start, trainable=False, name=f"{self.name}_accumulator"))
        return type(self.table)(pieces) if len(pieces) > 1 else pieces[0]

    @property
    def pieces(self) -> list[Variable]:
        """The variables of the table, one per shard."""
        return _pieces(self.table)

    def call(self, ids: Tensor) -> Tensor:
        """Return the vectors `[..., width]` of `ids` `[...]`."""
        return tf.cast(tf.nn.embedding_lookup(self.table, ids), self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the vectors for ids of `input_shape`."""
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Json]:
        """Return the arguments of `from_config`."""
        own = {"rows": self.rows, "width": self.width, "learning_rate": self.learning_rate, "spread": self.spread}
        return {**super().get_config(), **own}

    def apply_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Apply Adagrad to the rows in `gradients` (a `tf.IndexedSlices` per piece). Call it in a replica context."""
        if any(each is None for each in gradients):  # The loss does not depend on the table.
            return
        context = tf.distribute.get_replica_context()
        if context.strategy.num_replicas_in_sync > 1:
            gradients = [context.all_reduce(tf.distribute.ReduceOp.SUM, each) for each in gradients]
        rows = [_sum_by_row(each) for each in gradients]
        tf.__internal__.distribute.interim.maybe_merge_call(self._update, context.strategy, rows)

    def _update(self, strategy: Strategy, rows: Sequence[tuple[Tensor, Tensor]]) -> None:
        for piece, accumulator, (indices, values) in zip(self.pieces, _pieces(self.accumulator), rows, strict=True):
            strategy.extended.update(piece, self._adagrad, args=(accumulator, indices, values), group=False)

    def _adagrad(self, table: Variable, accumulator: Variable, indices: Tensor, values: Tensor) -> None:
        """Update the rows `indices` on the device that stores them."""
        accumulator.scatter_add(tf.IndexedSlices(tf.square(values), indices))
        rate = self.learning_rate * tf.math.rsqrt(tf.gather(accumulator, indices))
        table.scatter_sub(tf.IndexedSlices(values * rate, indices))


def _pieces(variable: Variable) -> list[Variable]:
    # TensorFlow does not export the class ShardedVariable, so its attribute identifies it.
    return list(variable.variables) if hasattr(variable, "variables") else [variable]


def _sum_by_row(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct rows in `gradient` and the sum of the gradients of each row."""
    indices, place = tf.unique(gradient.indices)
    return indices, tf.math.unsorted_segment_sum(gradient.values, place, tf.size(indices))


def tables(model: Model) -> list[Embedding]:
    """Return the embedding tables in `model` and in its nested models."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, Embedding)]
