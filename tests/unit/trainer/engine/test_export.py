"""The export: names of inputs, ragged and sparse inputs, and models that do not begin with keras.Input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from trainer.engine import export
from trainer.runtime.errors import InvalidTask

pytestmark = pytest.mark.slow


class RowSum(keras.layers.Layer):
    """The sum of each row, also of a ragged or sparse one, `[batch, ...]` -> `[batch, 1]`."""

    def call(self, x: Any) -> Any:
        x = tf.sparse.to_dense(x) if isinstance(x, tf.SparseTensor) else x
        return tf.reshape(tf.reduce_sum(x, axis=1), [-1, 1])

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, 1), dtype="float32")


class Subclass(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.dense = keras.layers.Embedding(5, 2), keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        x = x if isinstance(x, dict) else {"ids": x}
        return self.dense(self.table(x["ids"])[:, 0]) + tf.cast(x.get("more", 0.0), tf.float32)


def dense(*names: str | None) -> Any:
    inputs = [keras.Input((3,), name=name) for name in names]
    outputs = keras.layers.Dense(1)(keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0])
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)


def of_dict(*names: str) -> Any:
    inputs = {name: keras.Input((3,), name=name) for name in names}
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(list(inputs.values()))))


def row_sum(**options: bool) -> Any:
    inputs = keras.Input((None,), **options)
    return keras.Model(inputs, keras.layers.Dense(1)(RowSum()(inputs)))


def called(features: Any) -> Any:
    model = Subclass()
    model(features)
    return model


X = tf.reshape(tf.range(6.0), [2, 3])
IDS = tf.constant([[1, 2], [3, 4]])
RAGGED = tf.ragged.constant([[1.0, 2.0], [3.0]])
SPARSE = tf.sparse.from_dense([[0.0, 2.0], [3.0, 0.0]])


def saved(model: Any, features: Any, path: Path, given: Any = None) -> tuple[Any, Any]:
    """Export `model`, load it; return the loaded model and the call of it with `features`."""
    signature = export.signature_of(model, given, tf.nest.map_structure(tf.type_spec_from_value, features))
    export.write(model, signature, str(path))
    loaded = tf.saved_model.load(str(path))
    arguments = export.arguments(signature, features)
    assert arguments is not None
    return loaded, loaded.serve(*arguments)


@pytest.mark.filterwarnings("ignore:.*The structure of `inputs`:UserWarning")  # the further features
@pytest.mark.parametrize(
    ("make", "features", "names"),
    [
        (lambda: dense(None), X, {"inputs"}),
        (lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), X, {"inputs"}),
        (lambda: keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)]), X, {"x"}),
        (lambda: dense("image"), X, {"image"}),
        (lambda: dense(None, None), (X, X), {"inputs_0", "inputs_1"}),
        (lambda: dense("b", "a"), [X, X], {"a", "b"}),
        (lambda: dense("b", "a"), {"a": X, "b": X, "more": X}, {"a", "b"}),
        (lambda: of_dict("b", "a"), {"a": X, "b": X + 1.0, "more": X}, {"a", "b"}),
        (lambda: dense(None), tf.cast(X, tf.uint8), {"inputs"}),
        (lambda: called(IDS), IDS, {"inputs"}),
        (lambda: called({"ids": IDS, "more": X[:, :1]}), {"ids": IDS, "more": X[:, :1]}, {"ids", "more"}),
        (lambda: row_sum(ragged=True), RAGGED, {"args_0", "args_0_1"}),
        (row_sum, RAGGED, {"args_0", "args_0_1"}),
        (lambda: row_sum(sparse=True), SPARSE, {"args_0", "args_0_1", "args_0_2"}),
        (row_sum, X, {"inputs"}),
    ],
)
def test_export_gives_the_outputs_of_the_model_under_stable_names(
    make: Any, features: Any, names: set[str], tmp_path: Path
) -> None:
    for attempt in ("first", "second"):  # Keras counts the inputs of all models.
        model = make()
        loaded, outputs = saved(model, features, tmp_path / attempt)
        _, arguments = loaded.signatures["serving_default"].structured_input_signature
        assert set(arguments) == names
        tf.debugging.assert_near(outputs, model(features))


def test_export_takes_batches_of_every_size(tmp_path: Path) -> None:
    model = row_sum(ragged=True)
    loaded, _ = saved(model, tf.ragged.constant([[1.0], [2.0]]), tmp_path / "ragged")
    assert loaded.serve(tf.ragged.constant([[1.0, 1.0], [2.0], []])).shape == [3, 1]
    loaded, _ = saved(called(IDS), IDS, tmp_path / "ids")
    assert loaded.serve(tf.constant([[1, 1]] * 5)).shape == [5, 1]


def test_export_does_not_train(tmp_path: Path) -> None:
    class Noisy(keras.layers.Layer):
        def call(self, x: Any, training: bool = True) -> Any:
            return x * 3.0 if training else x

    inputs = keras.Input((3,))
    _, outputs = saved(keras.Model(inputs, Noisy()(inputs)), X, tmp_path / "export")
    tf.debugging.assert_near(outputs, X)


@pytest.mark.parametrize(
    "given",
    [
        [tf.TensorSpec([None, 3], tf.float32, name="image")],
        (keras.InputSpec(shape=(None, 3), dtype="float32", name="image"),),
        tf.TensorSpec([None, 3], tf.float32, name="image"),
    ],
)
def test_signature_of_the_task_replaces_the_inputs_of_the_model(given: Any, tmp_path: Path) -> None:
    loaded, _ = saved(dense(None), X, tmp_path / "export", given)
    _, arguments = loaded.signatures["serving_default"].structured_input_signature
    assert set(arguments) == {"image"}


def test_ragged_input_needs_ragged_features_or_a_signature(tmp_path: Path) -> None:
    spec = tf.TensorSpec([2, 3], tf.float32)
    with pytest.raises(InvalidTask, match=r"signature\(\): got None for the ragged input 'inputs'; expected ragged"):
        export.signature_of(row_sum(ragged=True), None, spec)
    given = [tf.RaggedTensorSpec([None, None], tf.float32)]
    _, outputs = saved(row_sum(ragged=True), RAGGED, tmp_path / "export", given)
    assert outputs.shape == [2, 1]


def test_features_that_do_not_fit_the_signature_are_not_passed_to_the_export() -> None:
    image = tf.TensorSpec([None, 3], tf.float32)
    assert export.arguments([image], X) is not None
    assert export.arguments([image], X[:, :2]) is None
    assert export.arguments([image], tf.constant(["text"] * 2)) is None
    assert export.arguments([{"a": image, "b": image}], {"a": X}) is None
    assert export.arguments([image, image], X) is None
