"""What `Task.dataset` must return: batches of examples, endless for the training and finite for the evaluation.

The spec and the cardinality of a dataset show most errors before the first step. For the rest, `checked` adds checks to
the input pipeline: only where the spec leaves a size open, so that a static spec costs nothing. TensorFlow raises the
result of these checks as an error of an operation, which `refusals` turns back into an `InvalidData`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import tensorflow as tf

from trainer.engine.endless import never_ends
from trainer.runtime.errors import NOTHING, InvalidTask, Words
from trainer.runtime.types import Dataset, Json, Tensor

TRAIN: Final = "train"
EVAL: Final = "eval"

_PARTS: Final = ("features", "labels", "weights")
_PAIR: Final = 2
_TUPLE: Final = "a tuple (features, labels) or (features, labels, weights)"
_BATCHED: Final = "Use batch(context.batch_size, drop_remainder=True)"
_SIZE: Final = re.compile(r"\[\d+")
_MESSAGE: Final = re.compile(r"(dataset\(context, \"\w+\"\)): got (.+?); expected (.+?)\. ([A-Z].+?)\.\]", re.DOTALL)


class InvalidData(InvalidTask):
    """A dataset of the task is invalid."""


def checked(dataset: Dataset, *, split: str, batch_size: int) -> Dataset:
    """Return `dataset`, whose elements are valid batches: `(features, labels)` or `(features, labels, weights)`.

    The weights in the result have the shape `[batch]`. A dataset that ends although it must be endless raises an error
    at its end. An iteration of the result belongs into the context `refusals`.

    Args:
        dataset: The result of `Task.dataset`.
        split: `"train"` or `"eval"`.
        batch_size: `DataContext.batch_size`: the size of each training batch. The size of evaluation batches may vary.

    Returns:
        The dataset, or None if `dataset` is None and `split` is `"eval"`.

    Raises:
        InvalidData: The dataset cannot yield such batches.

    """
    if dataset is None and split == EVAL:
        return None
    if not isinstance(dataset, tf.data.Dataset):
        got = NOTHING if dataset is None else Words(f"an object of type {type(dataset).__name__}")
        _refuse(split, got, "a tf.data.Dataset", "Return the dataset of the split")
    spec = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) == len(_PARTS) and _is_none(spec[_PAIR]):
        dataset = dataset.map(lambda features, labels, _: (features, labels))
        spec = dataset.element_spec
    if not isinstance(spec, tuple) or not _PAIR <= len(spec) <= len(_PARTS):
        _refuse(split, f"elements {_shown(spec)}", _TUPLE, f"Use map() to make each element {_TUPLE}")
    _check_cardinality(dataset, split)
    _check_sizes(spec, split, batch_size if split == TRAIN else None)
    _check_weights(spec, split)
    dataset = _with_checks(dataset, split, batch_size if split == TRAIN else None)
    return _with_error_at_end(dataset) if split == TRAIN else dataset


@contextmanager
def refusals() -> Iterator[None]:
    """Raise errors of the data, which TensorFlow raises as errors of an operation in the block, as `InvalidData`."""
    try:
        yield
    except tf.errors.OpError as error:
        if found := _MESSAGE.search(error.message.replace('\\"', '"')):
            key, got, expected, fix = found.groups()
            raise InvalidData(key, got=Words(got), expected=expected, fix=fix) from error
        if isinstance(error, tf.errors.OutOfRangeError):
            raise InvalidData(f'dataset(context, "{TRAIN}")', **_ENDED) from error
        raise


def require_same_spec(spec: Json, all_equal: Callable[[str], bool], *, sizes: bool = True) -> None:
    """Refuse training data whose elements differ between the workers of a run.

    Args:
        spec: The `element_spec` on this worker.
        all_equal: Returns whether all workers call it with the same text.
        sizes: Whether the batches of all workers have the same size.

    Raises:
        InvalidData: Another worker has another spec.

    """
    if not all_equal(str(spec) if sizes else kind_of(spec)):
        _refuse(
            TRAIN,
            f"elements {_shown(spec)} on this worker and other ones on another worker",
            "the same dtypes and shapes on all workers",
            "Use the same dtypes and shapes for each context.pipeline",
        )


def kind_of(spec: Json) -> str:
    """Return dtypes and shapes of the elements with the `element_spec` `spec` as text, without the size of a batch."""
    return _SIZE.sub("[?", _shown(spec))


def require_same_kind(kind: str, before: object) -> None:
    """Refuse training data that are of another kind than before a restart, because the run would mix both.

    Args:
        kind: The kind of the data, from `kind_of`.
        before: What `kind` was for the steps of the checkpoint; another type of value if that is unknown.

    Raises:
        InvalidData: The kind has changed.

    """
    if isinstance(before, str) and kind != before:
        raise InvalidData(
            _key(TRAIN),
            got=Words(f"elements {kind}"),
            expected=f"elements {before}, as before the restart",
            fix="Set data to the same files again, or start a run under a new name",
        )


_ENDED: Final = {
    "got": Words("a dataset that ended"),
    "expected": "an endless dataset",
    "fix": "Use repeat() before batch(), and check that the dataset is not empty",
}


def _key(split: str) -> str:
    return f'dataset(context, "{split}")'


def _refuse(split: str, got: str, expected: str, fix: str) -> NoReturn:
    raise InvalidData(_key(split), got=Words(got), expected=expected, fix=fix)


def _check_cardinality(dataset: Dataset, split: str) -> None:
    """Refuse training data that end, and evaluation data that are empty or never end."""
    if not tf.executing_eagerly():
        return  # In the graph of a ParameterServer worker, the cardinality is a tensor. The chief checks it before.
    batches = int(dataset.cardinality())
    endless = never_ends(dataset)
    if split == EVAL and (endless or not batches):
        got, fix = ("an endless dataset", "Remove repeat()") if endless else ("an empty dataset", "Return None")
        _refuse(
            split, got, "each example of the evaluation split once", f"{fix} where split is {EVAL}, or fix the files"
        )
    if split == TRAIN and batches >= 0:
        got = f"a dataset of {batches} {'batch' if batches == 1 else 'batches'}"
        _refuse(split, got, "an endless dataset", "Use repeat() before batch()")


def _check_sizes(spec: tuple[Json, ...], split: str, batch_size: int | None) -> None:
    """Refuse tensors without a batch dimension, or with another number of examples than the rest of the batch."""
    size = batch_size
    for part, each in _leaves(spec):
        shape = getattr(each, "shape", None)
        if shape is None:
            _refuse(split, f"{part} {each}", "tensors", "Use map() to return only tensors")
        if shape.rank is None:
            continue
        rows = shape[0] if shape.rank else None
        if shape.rank == 0 or (rows is not None and size not in (None, rows)):
            rule = "the batch as the first dimension of each tensor"
            if size is not None:
                rule += f", {size} examples" + (" (context.batch_size)" if batch_size else "")
            _refuse(split, f"{part} {_shown(each)}", rule, _BATCHED if batch_size else "Use batch() on whole examples")
        size = rows if size is None else size


def _check_weights(spec: tuple[Json, ...], split: str) -> None:
    """Refuse weights that are not one number per example. Further dimensions may be 1."""
    if len(spec) == _PAIR:
        return
    weights = spec[_PAIR]
    valid = isinstance(weights, tf.TensorSpec) and (
        weights.dtype.is_floating or weights.dtype.is_integer or weights.dtype.is_bool
    )
    if valid and weights.shape.rank is not None:
        valid = all(size in (None, 1) for size in weights.shape[1:])
    if not valid:
        _refuse(
            split,
            f"weights {_shown(weights)}",
            "one weight per example: numbers of shape [batch]",
            "Use map() to compute one weight for each example",
        )


def _with_checks(dataset: Dataset, split: str, batch_size: int | None) -> Dataset:
    """Return `dataset` with flat weights, and with run-time checks of the sizes that its spec leaves open."""
    spec = dataset.element_spec
    flat = len(spec) == _PAIR or spec[_PAIR].shape.rank == 1
    sizes = {each.shape[0] if each.shape.rank else None for _, each in _leaves(spec)}
    if flat and None not in sizes:
        return dataset

    def check(*batch: Tensor) -> tuple[Tensor, ...]:
        features, labels, *rest = batch
        weights = [tf.reshape(each, [-1]) for each in rest]
        size = _rows(tf.nest.flatten((features, labels))[0]) if batch_size is None else batch_size
        checks = [
            tf.debugging.Assert(
                tf.equal(_rows(each), tf.cast(size, tf.int64)),
                [_open_size(split, part, batch_size is not None, _rows(each), size)],
            )
            for part, each in _leaves((features, labels, *weights))
        ]
        with tf.control_dependencies(checks):
            return tuple(
                tf.nest.map_structure(lambda each: _sized(each, batch_size), part)
                for part in (features, labels, *weights)
            )

    return dataset.map(check).prefetch(1)


def _open_size(split: str, part: str, fixed: bool, rows: Tensor, size: Tensor) -> Tensor:
    """Return the refusal of a batch of `rows` examples in place of `size`, a scalar string."""
    origin, fix = (" (context.batch_size)", _BATCHED) if fixed else ("", "Use batch() on whole examples")
    text = f"{_key(split)}: got a batch with {part} of {{}} examples; expected {{}}{origin}. {fix}."
    return tf.strings.format(text, (rows, size))


def _with_error_at_end(dataset: Dataset) -> Dataset:
    """Return `dataset`, which raises an error where it ends, unless its cardinality shows that it is endless.

    When the data of one worker end, TensorFlow trains on with zeros in their place. It also asks all workers before
    each step whether they have data. Neither happens if the cardinality of the dataset is infinite.
    """
    if not tf.executing_eagerly() or int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        return dataset
    text = str(InvalidData(_key(TRAIN), **_ENDED))

    def read(attempt: Tensor) -> Dataset:
        with tf.control_dependencies([tf.debugging.Assert(attempt < 1, [text])]):
            return dataset.skip(tf.zeros([], tf.int64))

    checked_twice = tf.data.Dataset.range(2).flat_map(read).with_options(dataset.options())
    return checked_twice.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))


def _leaves(batch: tuple[object, ...]) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor or spec of `batch` with the name of its part."""
    for part, value in zip(_PARTS, batch, strict=False):
        for each in tf.nest.flatten(value):
            if each is not None and not _is_none(each):
                yield part, each


def _is_none(spec: object) -> bool:
    return isinstance(spec, tf.TypeSpec) and spec == tf.type_spec_from_value(None)


def _rows(tensor: Tensor) -> Tensor:
    """Return the size of the first dimension, int64."""
    if isinstance(tensor, tf.RaggedTensor):
        return tf.cast(tensor.nrows(), tf.int64)
    shape = tensor.dense_shape if isinstance(tensor, tf.SparseTensor) else tf.shape(tensor, tf.int64)
    return shape[0]


def _sized(tensor: Tensor, size: int | None) -> Tensor:
    """Return a dense `tensor` with the static batch dimension `size`; XLA needs static shapes."""
    if not isinstance(tensor, tf.Tensor):
        return tensor
    if size is None or tensor.shape.rank is None:
        return tf.identity(tensor)
    return tf.ensure_shape(tensor, [size, *tensor.shape[1:]])


def _shown(spec: Json) -> str:
    """Return dtypes and shapes of `spec` as text, such as `float32 [8, 10]`."""
    if isinstance(spec, dict):
        return "{" + ", ".join(f"{name}: {_shown(each)}" for name, each in spec.items()) + "}"
    if isinstance(spec, tuple | list):
        return f"({', '.join(_shown(each) for each in spec)})"
    if (shape := getattr(spec, "shape", None)) is None or not hasattr(spec, "dtype"):
        return str(spec)
    if shape.rank is None:
        return f"{spec.dtype.name} of unknown shape"
    return f"{spec.dtype.name} [{', '.join('?' if size is None else str(size) for size in shape)}]"
