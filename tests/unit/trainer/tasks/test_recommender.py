"""The synthetic clicks of the task `recommender`, and the best possible AUC."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import pipelines, steps
from trainer.runtime.config import TrainerConfig
from trainer.task import DataContext
from trainer.tasks import recommender
from trainer.tasks.recommender import Recommender, auc

REACHABLE = 0.8157


def task(**hp: Any) -> Recommender:
    return Recommender({**Recommender.defaults, **hp})


def batches(split: str, count: int = 3, size: int = 64, **context: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    data = task().dataset(DataContext(batch_size=size, **context), split)
    return [(ids.numpy(), clicked.numpy()) for ids, clicked in data.take(count)]


def test_reachable_auc_is_a_constant() -> None:
    assert task().reachable_auc() == pytest.approx(REACHABLE, abs=1e-4)
    keras.utils.set_random_seed(7)
    assert task().reachable_auc() == pytest.approx(REACHABLE, abs=1e-4), "the result must not depend on the global seed"


def test_auc_is_the_share_of_correctly_ordered_pairs() -> None:
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 60), random.integers(0, 9, 60)
    pairs = [
        0.5 if one == other else float(one > other) for one in scores[labels == 1] for other in scores[labels == 0]
    ]
    assert auc(labels, scores) == pytest.approx(np.mean(pairs))


def test_evaluation_examples_are_valid_and_fixed() -> None:
    ids, clicked = (np.concatenate(each) for each in zip(*batches("eval", 1000, 4096), strict=True))
    assert ids.shape == (32_768, 5)
    assert set(clicked) == {0, 1}
    assert (ids.min(axis=0) >= 0).all()
    assert (ids.max(axis=0) < np.array([12_000, 2_000, 200, 24, 4])).all()
    other = np.concatenate([ids for ids, _ in batches("eval", 1000, 1000)])
    np.testing.assert_array_equal(ids, other, "the examples must not depend on the batch size")


def test_seed_determines_the_training_examples_and_pipelines_divide_them() -> None:
    def train(**context: Any) -> list[bytes]:
        return [ids.tobytes() for ids, _ in batches("train", **context)]

    assert train(seed=1) == train(seed=1)
    assert not set(train(seed=1)) & set(train(seed=2))
    first = train(seed=1, pipeline=0, pipelines=2, count=3)
    second = train(seed=1, pipeline=1, pipelines=2, count=2)
    assert {*first, *second} == set(train(seed=1, count=5))


def test_clicks_follow_the_true_probabilities() -> None:
    _, clicked, logits = next(iter(task()._held_out(32_768)))
    probability = tf.sigmoid(logits).numpy()
    for low in np.arange(0, 1, 0.2):
        there = (probability >= low) & (probability < low + 0.2)
        assert clicked.numpy()[there].mean() == pytest.approx(probability[there].mean(), abs=0.03)


def test_effects_have_the_same_distribution_for_any_range_of_ids() -> None:
    for first in (0, 10**9):
        ids = tf.range(first, first + 20_000, dtype=tf.int64)
        one, other = (recommender._effect(ids, salt).numpy() for salt in (0, 1))
        assert one.mean() == pytest.approx(0, abs=0.03)
        assert one.std() == pytest.approx(1, abs=0.03)
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(0, abs=0.03)
        assert np.corrcoef(one[1:], one[:-1])[0, 1] == pytest.approx(0, abs=0.03)


def test_recommender_nearly_reaches_the_best_auc_on_one_device() -> None:
    keras.utils.set_random_seed(0)
    small = task(users=300, items=100, eval_examples=8192)
    settings = TrainerConfig(batch_size=1024)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    state = steps.build(small, strategy, settings)
    step = steps.replica_step(small, state, global_batch=1024, replicas=1, jit_compile=False)
    pipeline = pipelines.pipeline_function(small, settings, replicas=1, data_dir=None, seed=0)
    runner = steps.SyncStepRunner(strategy, state, step, strategy.distribute_datasets_from_function(pipeline))
    runner.run(400)
    [metric] = small.metrics()
    scores, labels = [], []
    for ids, clicked in small.dataset(DataContext(batch_size=1024), "eval"):
        outputs = state.model(ids, training=False)
        metric.update_state(clicked, outputs)
        scores.append(outputs.numpy())
        labels.append(clicked.numpy())
    reached = auc(np.concatenate(labels), np.concatenate(scores))
    assert reached > small.reachable_auc() - 0.015
    assert float(metric.result()) == pytest.approx(reached, abs=1e-3), "the metric of Keras approximates the AUC"
