"""A run of several replicas that diverges in one of them ends with words and keeps its last finite checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.integration.local_run import LocalRun
from trainer.storage.checkpoints import all_complete

pytestmark = pytest.mark.processes

TASK = """
import keras
import tensorflow as tf
from trainer.task import Task


class Diverges(Task):
    # From batch 100 on, the last pipeline reads numbers that are too large: in the features, which make the weights
    # infinite, or in the labels, which make only the loss infinite.
    defaults = {"features": 1.0, "labels": 3.0}

    def model(self):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    def optimizer(self):
        return keras.optimizers.SGD(0.01)

    def loss(self, labels, outputs):
        return tf.square(3.0 - outputs[:, 0]) + tf.stop_gradient(tf.square(labels - 3.0))

    def dataset(self, context, split):
        if split == "eval":
            return tf.data.Dataset.from_tensors((tf.ones([3]), 3.0)).repeat(10).batch(context.batch_size)
        last = context.pipeline == context.pipelines - 1

        def batch(number):
            bad = tf.logical_and(number >= 100, last)
            x = tf.where(bad, float(self.hp["features"]), 1.0)
            y = tf.where(bad, float(self.hp["labels"]), 3.0)
            return tf.fill([context.batch_size, 3], x), tf.fill([context.batch_size], y)

        return tf.data.Dataset.counter().map(batch)
"""
STRATEGIES = {
    "Mirrored": 'env: [{name: TRAINER_LOGICAL_CPUS, value: "2"}]',
    "MultiWorkerMirrored": "worker: {replicas: 2}",
    "ParameterServer": "ps: {replicas: 1}\nworker: {replicas: 1}",
}


WORDS = {"features": " not finite", "labels": "no step of the last 5 segments has a finite loss"}
CASES = [(strategy, part) for part in WORDS for strategy in STRATEGIES]


def job(strategy: str, part: str) -> str:
    return (
        f"strategy: {strategy}\n{STRATEGIES[strategy]}\nstorage: {{claim: runs}}\n"
        'trainer: {task: "tasks:Diverges", steps: 2000, batchSize: 8, checkpointEvery: 50, summaryEvery: 10, '
        f"keepCheckpoints: 2, hyperparameters: {{{part}: 1.0e+30}}}}\n"
    )


@pytest.mark.parametrize(
    ("strategy", "part"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[1] == "labels" else []) for case in CASES],
)
def test_run_ends_with_words_and_its_last_finite_checkpoint(
    local_run: LocalRun, strategy: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (local_run.folder / "tasks.py").write_text(TASK)
    monkeypatch.setenv("PYTHONPATH", str(local_run.folder))
    local_run.write(job(strategy, part))
    code, out, err = local_run.run("--json")
    assert code == 1, out + err
    tasks = json.loads(out, parse_constant=pytest.fail)["tasks"]
    assert {task["exitCode"] for task in tasks.values()} == {1}
    status = local_run.status()
    assert (status["state"], status["exitCode"]) == ("failed", 1)
    assert "not a number at step " in status["message"]
    assert WORDS[part] in status["message"]
    newest = all_complete(str(local_run.run_dir / "checkpoints"))[-1]
    assert 50 <= newest.step <= 150
    assert f"The last finite checkpoint is {newest.step}." in status["message"]
    assert status["lastCheckpoint"]["step"] == newest.step
    assert (status["loss"], status["lossIsNotANumber"]) == (None, True)
    assert not local_run.done()
    assert not (local_run.run_dir / "export").exists()
    leader = "worker-0" if strategy == "MultiWorkerMirrored" else "chief-0"
    assert "Traceback" not in local_run.log(leader)
    weights = tf.train.load_checkpoint(newest.path)
    for name in weights.get_variable_to_shape_map():
        if name.startswith(("model/", "optimizer/")):
            assert np.all(np.isfinite(weights.get_tensor(name))), name
