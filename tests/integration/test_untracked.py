"""Layers and optimizers in lists, which TensorFlow's checkpoints do not find, in runs of several tasks."""

from __future__ import annotations

import json

import pytest

from tests.integration.local_run import LocalRun
from tests.integration.test_runs import STORAGE

pytestmark = pytest.mark.processes

TASK = """
import keras
import tensorflow as tf
from trainer.task import Task


class Blocks(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.blocks = [keras.layers.Dense(8, bias_initializer="normal") for _ in range(2)]

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)
            shape = (*shape[:-1], 8)

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return inputs


class Line(Task):
    def model(self):
        return keras.Sequential([keras.Input((3,)), Blocks(), keras.layers.Dense(1)])

    def optimizer(self):
        kernels, others = (keras.optimizers.Adam(0.01 if self.settings.steps > 1 else 0.0) for _ in range(2))
        return keras.optimizers.MultiOptimizer(lambda variable: kernels if "kernel" in variable.path else others)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        x = tf.random.stateless_uniform([64, 3], [1, 2])
        data = tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1) - 1.5))
        if split == "train":
            return data.repeat().batch(context.batch_size, drop_remainder=True)
        return data.batch(context.batch_size)
"""


@pytest.mark.parametrize("strategy", ["ParameterServer", "MultiWorkerMirrored"])
def test_layers_in_a_list_are_evaluated_and_restored(local_run: LocalRun, strategy: str) -> None:
    (local_run.folder / "blocks.py").write_text(TASK)
    trained = evaluated(local_run, f"strategy: {strategy}\n", steps=300)
    assert trained < 0.02, "new random blocks would not fit the last layer"
    local_run.name = "again"
    restored = evaluated(local_run, f"strategy: {strategy}\nwarmStartFrom: little\n", steps=1)
    assert restored == pytest.approx(trained, rel=1e-3)


def evaluated(run: LocalRun, head: str, *, steps: int) -> float:
    """Return the loss of the held-out data after a run."""
    run.write(f"{head}trainer: {{task: 'blocks:Line', steps: {steps}, batchSize: 16}}\n{STORAGE}")
    code, out, err = run.run("--json")
    assert code == 0, f"{err}\n{run.all_logs()}"
    return float(json.loads(out)["result"]["metrics"]["loss"])
