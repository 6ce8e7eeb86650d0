"""What a batch must be: refusals from the spec, refusals at run time, and valid batches of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import tensorflow as tf

from tests.grammar import GRAMMAR
from trainer.engine import batches
from trainer.engine.batches import EVAL, TRAIN, InvalidData
from trainer.runtime import exit_codes

SIZE = 4


def examples(*, weights: Any = None, rows: int = 20) -> tf.data.Dataset:
    """Return single examples: features `[3]`, label, and a weight if `weights` is a shape."""
    parts: tuple[Any, ...] = (tf.ones([rows, 3]), tf.range(rows))
    return tf.data.Dataset.from_tensor_slices(parts if weights is None else (*parts, tf.ones([rows, *weights])))


def valid() -> tf.data.Dataset:
    return examples().repeat().batch(SIZE, drop_remainder=True)


def of(element: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(element).repeat()


def check(dataset: Any, split: str = TRAIN) -> Any:
    return batches.checked(dataset, split=split, batch_size=SIZE)


X, Y = tf.ones([SIZE, 3]), tf.ones([SIZE])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: None, "got nothing; expected a tf.data.Dataset."),
        (lambda: [1], "got an object of type list; expected a tf.data.Dataset."),
        (lambda: of(X), "got elements float32 [4, 3]; expected a tuple (features, labels) or (features,"),
        (lambda: of({"x": X, "y": Y}), "got elements {x: float32 [4, 3], y: float32 [4]}; expected a tuple"),
        (lambda: of((X, Y, Y, Y)), "expected a tuple (features, labels) or (features, labels, weights)."),
        (lambda: examples().repeat(), "got features float32 [3]; expected the batch as the first dimension of each"),
        (lambda: of((X, 1.0)), "got labels float32 []; expected the batch as the first dimension of each"),
        (lambda: of((X, {"a": Y, "b": Y[:2]})), "got labels float32 [2]; expected the batch as the first dimension"),
        (lambda: of(({"a": X, "b": X[:2]}, Y)), "got features float32 [2, 3]; expected the batch as the first"),
        (lambda: examples().repeat().batch(8, drop_remainder=True), "got features float32 [8, 3]; expected the batch"),
        (lambda: of((X, Y, Y[:2])), "got weights float32 [2]; expected the batch as the first dimension"),
        (lambda: of((X, Y, tf.ones([SIZE, 3]))), "got weights float32 [4, 3]; expected one weight per example"),
        (lambda: of((X, Y, tf.constant(["1"] * SIZE))), "got weights string [4]; expected one weight per example"),
        (lambda: of((X, Y, tf.ones([SIZE], tf.complex64))), "got weights complex64 [4]; expected one weight per"),
        (lambda: of((X, Y, {"a": Y})), "got weights {a: float32 [4]}; expected one weight per example"),
        (lambda: of((X, Y, tf.ragged.constant([[1.0]] * SIZE))), "expected one weight per example"),
        (lambda: examples().batch(SIZE, drop_remainder=True), "got a dataset of 5 batches; expected an endless"),
        (lambda: valid().take(1), "got a dataset of 1 batch; expected an endless dataset. Use repeat() before batch()"),
        (lambda: valid().take(0), "got a dataset of 0 batches; expected an endless dataset."),
    ],
)
def test_spec_that_is_not_one_of_training_batches_is_refused(dataset: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidData) as error:
        check(dataset())
    assert str(error.value).startswith('dataset(context, "train"): got ')
    assert message in str(error.value)
    assert GRAMMAR.fullmatch(str(error.value))
    assert error.value.code == exit_codes.FAILED


FOREVER: Final[list[Callable[[], Any]]] = [
    lambda: examples().repeat().filter(lambda x, y: y < 7).batch(SIZE),
    lambda: tf.data.Dataset.range(2).repeat().flat_map(lambda _: examples()).batch(SIZE).prefetch(1),
    lambda: tf.data.Dataset.range(2).repeat().shuffle(2).interleave(lambda _: examples()).batch(SIZE),
    lambda: tf.data.Dataset.zip(
        examples().repeat().filter(lambda x, y: y < 7), tf.data.Dataset.counter().filter(lambda n: n > 2)
    ).map(lambda example, _: example).batch(SIZE),
    lambda: valid().filter(lambda x, y: y[0] < 99).unbatch().batch(SIZE),
    lambda: examples().repeat().filter(lambda x, y: y < 7).map(lambda x, y: (x, y)).cache().batch(SIZE),
]  # fmt: skip
"""Data that never end, whose length is unknown in TensorFlow."""
ENDING: Final[list[Callable[[], Any]]] = [
    lambda: examples().repeat().filter(lambda x, y: y < 7).take(20).batch(SIZE),
    lambda: examples().repeat().take_while(lambda x, y: y < 7).batch(SIZE),
    lambda: examples().filter(lambda x, y: y < 7).batch(SIZE),
    lambda: tf.data.Dataset.zip(examples().repeat().filter(lambda x, y: y < 7), tf.data.Dataset.range(8)).map(
        lambda example, _: example
    ).batch(SIZE),
]  # fmt: skip


@pytest.mark.parametrize("dataset", ENDING)
def test_held_out_data_that_end_are_accepted(dataset: Callable[[], Any]) -> None:
    assert sum(1 for _ in check(dataset(), EVAL)) > 0


@pytest.mark.parametrize("dataset", FOREVER)
def test_length_of_data_that_never_end_may_be_unknown_to_tensorflow(dataset: Callable[[], Any]) -> None:
    assert int(dataset().cardinality()) == tf.data.UNKNOWN_CARDINALITY, "or the case shows nothing"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (valid, "got an endless dataset; expected each example of the evaluation split once."),
        (lambda: valid().take(0), "got an empty dataset; expected each example of the evaluation split once."),
        *((each, "got an endless dataset; expected each example of the evaluation split once.") for each in FOREVER),
        (lambda: of((X, Y[:2])).take(1), "got labels float32 [2]; expected the batch as the first dimension"),
        (lambda: of((X, Y, X)).take(1), "got weights float32 [4, 3]; expected one weight per example"),
        (examples, "got labels int32 []; expected the batch as the first dimension of each tensor, 3"),
    ],
)
def test_spec_that_is_not_one_of_evaluation_batches_is_refused(dataset: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidData) as error:
        check(dataset(), EVAL)
    assert str(error.value).startswith('dataset(context, "eval"): got ')
    assert message in str(error.value)
    assert GRAMMAR.fullmatch(str(error.value))


def test_task_may_have_no_evaluation_data() -> None:
    assert check(None, EVAL) is None


def read(dataset: tf.data.Dataset, count: int) -> list[Any]:
    """Return elements as a step reads them: in a graph."""
    with batches.refusals():
        iterator = iter(dataset)
        following = tf.function(lambda: next(iterator))
        return [following() for _ in range(count)]


def test_dataset_with_a_static_spec_is_unchanged() -> None:
    dataset = valid()
    assert check(dataset) is dataset, "checks at run time would cost time"
    held_out = examples(rows=16).batch(SIZE, drop_remainder=True)
    assert check(held_out, EVAL) is held_out


def ragged() -> Any:
    return tf.RaggedTensor.from_row_lengths(tf.range(6.0), [2, 1, 0, 3])


def sparse() -> Any:
    return tf.sparse.from_dense(tf.eye(SIZE))


@pytest.mark.parametrize("kind", ["dense", "dict", "tuple", "ragged", "sparse", "text"])
@pytest.mark.parametrize("static", [True, False])
def test_features_of_every_kind_pass_unchanged(kind: str, static: bool) -> None:
    features = {
        "dense": X, "dict": {"a": X, "b": Y}, "tuple": (X, Y), "ragged": ragged(), "sparse": sparse(),
        "text": tf.constant(["a", "b", "c", "d"]),
    }[kind]  # fmt: skip
    dataset = of((features, Y, Y))
    if not static:
        dataset = dataset.unbatch().batch(SIZE)
        assert None in {each.shape[0] for each in tf.nest.flatten(dataset.element_spec)}
    [(found, labels, weights)] = read(check(dataset), 1)
    flat = tf.nest.flatten(features, expand_composites=True)
    for one, other in zip(flat, tf.nest.flatten(found, expand_composites=True), strict=True):
        assert one.numpy().tolist() == other.numpy().tolist()
    assert labels.shape == weights.shape == [SIZE]


def test_open_batch_size_becomes_static() -> None:
    dataset = check(examples(weights=()).repeat().batch(SIZE))
    assert [each.shape.as_list() for each in dataset.element_spec] == [[SIZE, 3], [SIZE], [SIZE]]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: examples(rows=6).batch(SIZE).repeat(), "got a batch with features of 2 examples; expected 4 (con"),
        (lambda: examples(rows=32).repeat().batch(8), "got a batch with features of 8 examples; expected 4 (context"),
        (
            lambda: valid().map(lambda x, y: (x, tf.boolean_mask(y, tf.range(SIZE) < 3))),
            "got a batch with labels of 3 examples; expected 4 (context.batch_size).",
        ),
        (
            lambda: valid().map(lambda x, y: (x, y, tf.reshape(tf.where(y >= 0, 1.0, 0.0)[:, None] * x, [SIZE, -1]))),
            "got weights float32 [4, 3]; expected one weight per example",
        ),
        (
            lambda: of((ragged(), Y)).map(lambda x, y: (x[: tf.random.uniform([], 3, 4, tf.int32)], y)),
            "got a batch with features of 3 examples; expected 4",
        ),
        (
            lambda: valid().map(lambda x, y: (x, y, tf.numpy_function(lambda a: a, [x], tf.float32))),
            "got a batch with weights of 12 examples; expected 4",
        ),
    ],
)
def test_batch_of_the_wrong_size_is_refused_when_it_is_read(dataset: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidData) as error:
        read(check(dataset()), 2)
    assert message in str(error.value)
    assert GRAMMAR.fullmatch(str(error.value))


def test_evaluation_batches_may_be_partial_but_not_ragged() -> None:
    sizes = [x.shape[0] for x, _ in read(check(examples(rows=6).batch(SIZE), EVAL), 2)]
    assert sizes == [4, 2]
    differing = examples(rows=6).batch(SIZE).map(lambda x, y: (x, tf.boolean_mask(y, y < 5)))
    with pytest.raises(InvalidData, match="got a batch with labels of 1 examples; expected 2"):
        read(check(differing, EVAL), 2)


@pytest.mark.parametrize("split", [TRAIN, EVAL])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.int64, tf.bool])
def test_weights_of_any_number_type_become_one_per_example(split: str, shape: tuple[int, ...], dtype: Any) -> None:
    data = examples(weights=shape).map(lambda x, y, w: (x, y, tf.cast(w, dtype)))
    data = data.repeat().batch(SIZE, drop_remainder=True) if split == TRAIN else data.batch(SIZE)
    dataset = check(data, split)
    assert dataset.element_spec[2].shape.rank == 1
    [(_, _, weights)] = read(dataset, 1)
    assert (weights.shape, weights.dtype) == ([SIZE], dtype)


def test_weights_may_be_none() -> None:
    assert len(check(of((X, Y, None))).element_spec) == 2


def test_dataset_of_unknown_cardinality_is_endless_or_raises_words() -> None:
    endless = examples().filter(lambda x, y: y % 2 == 0).repeat().filter(lambda x, y: y < 7)
    dataset = check(endless.batch(SIZE, drop_remainder=True))
    assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY, "or TensorFlow asks all workers at each step"
    assert [y.numpy().tolist() for _, y in read(dataset, 2)] == [[0, 2, 4, 6]] * 2
    ends = check(examples().filter(lambda x, y: y >= 0).batch(SIZE, drop_remainder=True))
    assert len(read(ends, 5)) == 5
    with pytest.raises(InvalidData, match="got a dataset that ended; expected an endless dataset") as e:
        read(ends, 6)
    assert GRAMMAR.fullmatch(str(e.value))


def test_options_of_a_dataset_of_unknown_cardinality_are_kept() -> None:
    options = tf.data.Options()
    options.deterministic = False
    assert check(valid().filter(lambda x, y: True).with_options(options)).options().deterministic is False


def test_empty_dataset_that_claims_to_be_endless_raises_words() -> None:
    dataset = check(examples().filter(lambda x, y: y < 0).repeat().batch(SIZE, drop_remainder=True))
    with pytest.raises(InvalidData, match="got a dataset that ended"):
        read(dataset, 1)


def test_other_errors_are_not_refusals() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError), batches.refusals():
        tf.debugging.assert_equal(1, 2)
