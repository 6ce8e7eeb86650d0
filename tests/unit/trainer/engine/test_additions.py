"""What a model adds to the loss: the shares of all replicas sum up to what Keras adds on one device."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.grammar import GRAMMAR
from trainer.engine import additions
from trainer.engine.additions import Additions
from trainer.runtime.errors import InvalidTask

pytestmark = pytest.mark.slow

X = np.random.default_rng(3).normal(size=(8, 3)).astype("float32")


class Adding(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.added = loss

    def call(self, x: Any) -> Any:
        self.add_loss(self.added(x))
        return x


def model(loss: Any) -> Any:
    keras.utils.set_random_seed(1)
    dense = keras.layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l2")
    return keras.Sequential([keras.Input((3,)), Adding(loss), dense])


def mean(x: Any) -> Any:
    return tf.reduce_mean(tf.square(x))


@pytest.mark.parametrize("shares", [[8], [4, 4], [5, 3], [1, 4, 3]])
def test_uneven_shares_sum_up_to_the_loss_of_keras(shares: list[int]) -> None:
    tried = model(mean)
    total, first = 0.0, 0
    for share in shares:
        tried(X[first : first + share], training=True)
        total += float(Additions(tried, len(shares)).share(tf.constant(share / 8)))
        first += share
    tried.compile(loss=lambda labels, outputs: 0.0 * outputs[:, 0])
    assert total == pytest.approx(tried.evaluate(X, X[:, 0], batch_size=8, verbose=0), rel=1e-5)


def test_one_loss_per_example_is_summed_as_in_keras() -> None:
    tried = model(lambda x: tf.reduce_sum(tf.square(x), axis=1))
    tried(X, training=True)
    total = float(Additions(tried, 1).share(tf.constant(1.0)))
    tried.compile(loss=lambda labels, outputs: 0.0 * outputs[:, 0])
    assert total == pytest.approx(tried.evaluate(X, X[:, 0], batch_size=8, verbose=0), rel=1e-5)


def test_one_loss_per_example_is_refused_for_several_replicas() -> None:
    tried = model(lambda x: tf.reduce_sum(tf.square(x), axis=1))
    tried(X, training=True)
    with pytest.raises(InvalidTask) as error:
        Additions(tried, 2).share(tf.constant(0.5))
    assert GRAMMAR.fullmatch(str(error.value))
    assert "model(): got a loss of shape (8,) from add_loss(); expected a scalar" in str(error.value)


def test_sum_over_the_examples_is_refused_for_several_replicas() -> None:
    additions.require_means(model(mean), tf.constant(X))
    additions.require_means(model(lambda x: 0.1 * tf.random.normal([])), tf.constant(X))
    with pytest.raises(InvalidTask) as error:
        additions.require_means(model(lambda x: tf.reduce_sum(tf.square(x))), tf.constant(X))
    assert GRAMMAR.fullmatch(str(error.value))
    assert "expected the mean over the examples, for several replicas" in str(error.value)


def test_losses_of_another_replica_are_refused() -> None:
    """A replica that waits in the middle of a call finds the losses of the one that was called last."""
    tried = model(mean)
    added = Additions(tried, 2)

    def both(x: Any) -> Any:
        tried(x, training=True)
        return added.share(tf.constant(0.5)) + added.share(tf.constant(0.5))

    with pytest.raises(InvalidTask) as error:
        tf.function(both, autograph=False)(X)
    assert GRAMMAR.fullmatch(str(error.value))
    assert "model(): got add_loss() or an activity regularizer, and a layer with synchronized" in str(error.value)


def test_constant_loss_belongs_to_all_replicas() -> None:
    constant = tf.constant(2.0)
    tried = keras.Sequential([keras.Input((3,)), Adding(lambda x: constant)])
    added = Additions(tried, 2)

    def both(x: Any) -> Any:
        tried(x, training=True)
        return added.share(tf.constant(0.5)) + added.share(tf.constant(0.5))

    assert float(tf.function(both, autograph=False)(X)) == 2.0


def test_losses_of_weights_are_told_from_added_ones() -> None:
    tried = model(mean)
    tried(X)
    added, of_weights = additions.split(tried)
    assert (len(added), len(of_weights)) == (2, 1)
    assert float(of_weights[0]) == pytest.approx(0.01 * float(tf.reduce_sum(tf.square(tried.layers[-1].kernel))))
