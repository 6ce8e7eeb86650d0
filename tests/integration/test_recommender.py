"""Embedding tables on parameter servers, and the image tasks under several tasks, end to end."""

from __future__ import annotations

import json

import pytest

from tests.integration.local_run import LocalRun
from tests.integration.test_runs import STORAGE, example

pytestmark = pytest.mark.processes

REACHABLE = 0.8157  # tests/unit/trainer/tasks/test_recommender.py computes it


def auc(run: LocalRun) -> float:
    code, out, err = run.run("--json")
    assert code == 0, f"{err}\n{run.all_logs()}"
    return float(json.loads(out)["result"]["metrics"]["auc"])


def test_two_ps_reach_the_best_auc_and_three_start_from_their_weights(local_run: LocalRun) -> None:
    example(local_run, "recommender")
    assert auc(local_run) >= REACHABLE - 0.01
    assert "embedding table user: 12000 x 17 in 2 shards" in local_run.log("chief-0")
    assert local_run.done()["step"] >= 1500
    assert 0 <= local_run.status()["inputWaitShare"] <= 1

    local_run.name = "moved"
    local_run.write(
        "strategy: ParameterServer\nwarmStartFrom: little\nps: {replicas: 3}\n"
        f"trainer: {{task: recommender, steps: 20, batchSize: 2048}}\n{STORAGE}"
    )
    assert auc(local_run) >= REACHABLE - 0.01, "twenty steps alone would not reach it"
    log = local_run.log("chief-0")
    assert "warm start: weights and optimizer state of" in log
    assert "embedding table user: 12000 x 17 in 3 shards" in log


def test_tables_train_the_same_on_several_replicas(local_run: LocalRun) -> None:
    """The workers see each other's rows: the loss falls as on one device with their examples together."""
    trainer = "{task: recommender, steps: 200, batchSize: 1024, hyperparameters: {users: 300, items: 100}}"
    local_run.write(f"strategy: MultiWorkerMirrored\ntrainer: {trainer}\n{STORAGE}")
    assert auc(local_run) >= 0.78


SMALL = """
import keras
from trainer.tasks.images import ImageClassification

class Small(ImageClassification):
    def network(self, side):
        return keras.Sequential([
            keras.Input((side, side, 3)),
            keras.layers.Conv2D(64, 3, strides=2),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2048, activation="relu"),  # large enough to be cut, if Keras variables could be
        ])
"""


def images(run: LocalRun, strategy: str, task: str, side: int) -> str:
    """Take two steps over made-up images; return what was logged."""
    hyperparameters = f"{{image_size: {side}, classes: 10, warmup_steps: 0, synthetic_examples: 8}}"
    trainer = f'{{task: "{task}", steps: 2, batchSize: 4, hyperparameters: {hyperparameters}}}'
    run.write(f"strategy: {strategy}\ntrainer: {trainer}\n{STORAGE}")
    code, out, err = run.run("--plain")
    assert code == 0, f"{out}\n{err}"
    assert run.done()["step"] >= 2
    assert set(run.done()["metrics"]) == {"accuracy", "top5", "loss"}
    return out


@pytest.mark.parametrize("strategy", ["ParameterServer", "MultiWorkerMirrored"])
def test_image_tasks_take_steps(local_run: LocalRun, strategy: str) -> None:
    (local_run.folder / "small.py").write_text(SMALL)
    images(local_run, strategy, "small:Small", 32)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ParameterServer", "MultiWorkerMirrored"])
def test_inception_takes_steps(local_run: LocalRun, strategy: str) -> None:
    images(local_run, strategy, "inception_v3", 299)
