"""Embedding tables that ParameterServer shards over its ps, and that are updated row by row.

A step that touches a thousand rows of a million must cost what a thousand rows cost. So only these rows are looked up,
and only their gradients are sent and applied, on the ps that holds them. Keras' own layer cannot do this, because a
Keras variable is never sharded. So `Embedding` owns plain TensorFlow variables and updates them itself; the task's
optimizer trains everything else. A checkpoint holds each table as one tensor, so that it fits any number of ps.
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
"""A table is cut into pieces of this size or larger ones, one per ps at most: each costs every step some requests."""
_is_table: ContextVar[bool] = ContextVar("is_table", default=False)


def partitioner(servers: int) -> Callable[..., list[int]]:
    """Return what tells a ParameterServerStrategy with so many ps into how many pieces to cut a new variable.

    It cuts the variables of `Embedding` by their size, and no others: a Keras variable cannot be cut.
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

    Trained by Adagrad: rows that are seen rarely take larger steps.
    """

    def __init__(
        self, rows: int, width: int, *, learning_rate: float = 0.05, spread: float = 0.05, **kwargs: Json
    ) -> None:
        """Take the size; `spread`: the rows start uniformly between -spread and spread."""
        super().__init__(**kwargs)
        self.rows, self.width, self.learning_rate, self.spread = rows, width, learning_rate, spread
        self.table: Variable = None
        self.accumulator: Variable = None

    def build(self, input_shape: object) -> None:
        """Create the table and its accumulators: under a ParameterServerStrategy in pieces, spread over the ps."""
        del input_shape
        shape = (self.rows, self.width)

        def initial(partition_shape: Sequence[int] = shape, **_: object) -> Tensor:
            return tf.random.uniform(tuple(partition_shape), -self.spread, self.spread)

        with _creating_a_table():
            self.table = tf.Variable(initial, shape=shape, dtype=tf.float32, name=f"{self.name}_table")
        self.accumulator = self._beside_the_table()
        self.built = True
        if len(self.pieces) > 1:
            log.info("embedding table %s: %d x %d in %d shards", self.name, self.rows, self.width, len(self.pieces))

    def _beside_the_table(self) -> Variable:
        """Return Adagrad's sums of squares, each where its number in the table is."""
        pieces = []
        for piece in self.pieces:
            with tf.distribute.get_strategy().extended.colocate_vars_with(piece):
                start = tf.fill(piece.shape, 1e-8)
                pieces.append(tf.Variable(start, trainable=False, name=f"{self.name}_accumulator"))
        return type(self.table)(pieces) if len(pieces) > 1 else pieces[0]

    @property
    def pieces(self) -> list[Variable]:
        """The variables that the table consists of."""
        return _pieces(self.table)

    def call(self, ids: Tensor) -> Tensor:
        """Return the rows of `ids`."""
        return tf.cast(tf.nn.embedding_lookup(self.table, ids), self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the vectors for ids of `input_shape`."""
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Json]:
        """Return what `from_config` needs."""
        own = {"rows": self.rows, "width": self.width, "learning_rate": self.learning_rate, "spread": self.spread}
        return {**super().get_config(), **own}

    def apply_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Train the rows that have `gradients` (`tf.IndexedSlices`, one per piece); to be called in a replica."""
        if any(each is None for each in gradients):  # the loss does not depend on the table
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
        """Runs on the device that holds the rows."""
        accumulator.scatter_add(tf.IndexedSlices(tf.square(values), indices))
        rate = self.learning_rate * tf.math.rsqrt(tf.gather(accumulator, indices))
        table.scatter_sub(tf.IndexedSlices(values * rate, indices))


def _pieces(variable: Variable) -> list[Variable]:
    # A ShardedVariable; TensorFlow does not export its class.
    return list(variable.variables) if hasattr(variable, "variables") else [variable]


def _sum_by_row(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows that `gradient` has, each once, and their sums."""
    indices, place = tf.unique(gradient.indices)
    return indices, tf.math.unsorted_segment_sum(gradient.values, place, tf.size(indices))


def tables(model: Model) -> list[Embedding]:
    """Return the embedding tables in `model`."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, Embedding)]
