"""Embedding tables: lookup, training row by row, and checkpoints."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import embedding
from trainer.check import counts
from trainer.embedding import Embedding
from trainer.engine import steps
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError
from trainer.tasks.recommender import Recommender


def built(rows: int = 6, width: int = 2) -> Embedding:
    layer = Embedding(rows, width, learning_rate=0.5, name="thing")
    layer(tf.constant([0]))
    return layer


def test_embedding_returns_the_rows_of_the_ids() -> None:
    layer = built()
    rows = layer.table.numpy()
    assert np.abs(rows).max() <= 0.05
    np.testing.assert_array_equal(layer(tf.constant([[3, 0], [3, 5]])), rows[[[3, 0], [3, 5]]])
    assert layer.compute_output_shape((None, 4)) == (None, 4, 2)
    again = Embedding.from_config(layer.get_config())
    assert (again.rows, again.width, again.learning_rate) == (6, 2, 0.5)


def test_embedding_applies_adagrad_only_to_the_rows_of_the_batch() -> None:
    layer = built()
    expected = layer.table.numpy().copy()
    squares = np.full_like(expected, 1e-8)
    ids = tf.constant([1, 4, 1])
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(ids) * [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        tf.function(layer.apply_gradients)(tape.gradient(loss, layer.pieces))
        gradient = np.zeros_like(expected)
        gradient[1], gradient[4] = (6, 8), (3, 4)  # The batch contains row 1 twice.
        squares += gradient**2
        expected -= 0.5 * gradient / np.sqrt(squares)
    np.testing.assert_allclose(layer.table.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(layer.accumulator.numpy(), squares, rtol=1e-5)


def test_checkpoint_contains_each_table_as_one_tensor(tmp_path: Path) -> None:
    model = Recommender({**Recommender.defaults, "users": 50, "items": 20}).model()
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    shapes = [shape for name, shape in tf.train.list_variables(path) if "/table/" in name]
    assert sorted(shapes) == [[4, 17], [20, 17], [24, 17], [50, 17], [200, 17]]
    sums = [shape for name, shape in tf.train.list_variables(path) if "/accumulator/" in name]
    assert sorted(sums) == sorted(shapes)
    assert [table.name for table in embedding.tables(model)] == ["user", "item", "city", "hour", "device"]


@pytest.mark.parametrize(
    ("rows", "servers", "pieces"), [(100, 3, 1), (12_000, 1, 1), (12_000, 2, 2), (12_000, 3, 3), (12_000, 9, 4)]
)  # fmt: skip
def test_partitioner_shards_only_tables_and_by_size(rows: int, servers: int, pieces: int) -> None:
    cut = embedding.partitioner(servers)
    shape = tf.TensorShape([rows, 17])
    assert cut(shape=shape, dtype=tf.float32) == [1, 1]
    with embedding._creating_a_table():
        assert cut(shape=shape, dtype=tf.float32) == [pieces, 1]
    assert cut(shape=shape, dtype=tf.float32) == [1, 1]


def test_mixed_float16_is_refused_for_a_task_with_tables() -> None:
    task = Recommender({**Recommender.defaults, "users": 50, "items": 20})
    with pytest.raises(ConfigError, match=r'precision: got "mixed_float16"; expected one of "mixed_bfloat16"'):
        steps.build(task, tf.distribute.OneDeviceStrategy("/cpu:0"), TrainerConfig(precision="mixed_float16"))


def test_table_without_gradients_does_not_change() -> None:
    class Unused(Recommender):
        def model(self) -> keras.Model:
            ids = keras.Input((5,), dtype="int64")
            used, unused = Embedding(200, 1, name="used"), Embedding(200, 1, name="unused")
            kept = keras.layers.Lambda(lambda each: each[0])([used(ids[:, 2]), unused(ids[:, 3])])
            return keras.Model(ids, keras.layers.Dense(1)(kept)[:, 0])

    task = Unused(Recommender.defaults)
    state = steps.build(task, tf.distribute.OneDeviceStrategy("/cpu:0"), TrainerConfig())
    used, unused = embedding.tables(state.model)
    before = used.table.numpy(), unused.table.numpy()
    step = steps.replica_step(task, state, global_batch=4, replicas=1, jit_compile=False)
    tf.function(step)((tf.zeros([4, 5], tf.int64), tf.ones([4], tf.int64)))
    assert (used.table.numpy() != before[0]).sum() == 1
    np.testing.assert_array_equal(unused.table.numpy(), before[1])


@pytest.mark.parametrize("frozen", ["layer", "model"])
def test_frozen_table_is_not_trained(frozen: str) -> None:
    class Frozen(Recommender):
        def model(self) -> keras.Model:
            ids = keras.Input((5,), dtype="int64")
            trained, table = Embedding(200, 1, name="trained"), Embedding(200, 1, name="frozen")
            part = keras.Sequential([keras.Input((), dtype="int64"), table])
            (table if frozen == "layer" else part).trainable = False
            return keras.Model(ids, keras.layers.Dense(1)(trained(ids[:, 2]) + part(ids[:, 3]))[:, 0])

    task = Frozen(Recommender.defaults)
    state = steps.build(task, tf.distribute.OneDeviceStrategy("/cpu:0"), TrainerConfig())
    assert counts.count(state.model) == (402, 202)
    tables = {each.name: each for each in embedding.tables(state.model)}
    before = {name: each.table.numpy() for name, each in tables.items()}
    step = steps.replica_step(task, state, global_batch=2, replicas=1, jit_compile=False)
    step((tf.constant([[0, 0, 3, 4, 0], [0, 0, 5, 6, 0]], tf.int64), tf.constant([0.0, 1.0])))
    np.testing.assert_array_equal(tables["frozen"].table, before["frozen"])
    assert np.abs(tables["trained"].table - before["trained"]).max() > 0
