"""The trial before step 1: what a task cannot do at the end of a run is refused before the run trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.embedding import Embedding
from trainer.engine import trial
from trainer.engine.evaluation import Evaluation
from trainer.runtime import exit_codes
from trainer.runtime.config import EarlyStopping
from trainer.runtime.errors import ConfigError, TrainerExit
from trainer.task import DataContext, Task

pytestmark = pytest.mark.slow


class Line(Task):
    """A valid task; each test changes one thing."""

    def model(self) -> Any:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(0.1)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.square(labels - outputs[:, 0])

    def examples(self) -> Any:
        x = tf.random.stateless_uniform([20, 3], [1, 2])
        return tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1)))

    def dataset(self, context: DataContext, split: str) -> Any:
        data = self.examples().repeat() if split == "train" else self.examples()
        return data.batch(context.batch_size, drop_remainder=split == "train")


def attempt(
    task: Task, folder: Path, early_stopping: EarlyStopping | None = None, replicas: int = 1
) -> dict[str, float]:
    """Try `task`; the directory of the export must be gone afterward."""
    path = folder / "export.tmp"
    try:
        local = Evaluation(task, batch_size=8, data_dir=None)
        return trial.run(local, early_stopping=early_stopping, export_to=str(path), replicas=replicas)
    finally:
        assert not path.exists()


def refusal(task: Task, folder: Path, replicas: int = 1) -> str:
    """Return the one line of the refusal of `task`."""
    with pytest.raises(TrainerExit) as error:
        attempt(task, folder, replicas=replicas)
    assert error.value.code == exit_codes.FAILED
    assert "\n" not in str(error.value)
    return str(error.value)


class Own(keras.metrics.Metric):
    """The base of metrics of one's own: the sum of the absolute errors."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.sum = self.add_variable((), "zeros", name="sum")

    def update_state(self, labels: Any, outputs: Any, sample_weight: Any = None) -> None:
        self.sum.assign_add(tf.reduce_sum(tf.abs(labels - outputs[:, 0])))

    def result(self) -> Any:
        return self.sum


class CounterInPython(Own):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def update_state(self, labels: Any, outputs: Any, sample_weight: Any = None) -> None:
        super().update_state(labels, outputs)
        self.count += 1

    def result(self) -> Any:
        return self.sum / max(1, self.count)


class NeverReset(CounterInPython):
    """Its counter starts with the trace, and an evaluation does not reset it."""

    def result(self) -> Any:
        return self.count

    def reset_state(self) -> None:
        self.sum.assign(0.0)


class VariableThatIsNotReset(Own):
    def reset_state(self) -> None:
        pass


class Numpy(Own):
    def update_state(self, labels: Any, outputs: Any, sample_weight: Any = None) -> None:
        self.sum.assign_add(float(np.abs(labels.numpy() - outputs.numpy()[:, 0]).sum()))


class SymbolicState(Own):
    def update_state(self, labels: Any, outputs: Any, sample_weight: Any = None) -> None:
        self.last = tf.reduce_sum(outputs)

    def result(self) -> Any:
        return self.last


class PerClass(Own):
    def result(self) -> Any:
        return tf.stack([self.sum.value, self.sum.value])


class NamedLoss(Own):
    def __init__(self) -> None:
        super().__init__()
        self.name = "loss"


class TwoValues(Own):
    def result(self) -> Any:
        return {"sum": self.sum, "twice": 2 * self.sum}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([CounterInPython], "metrics(): got own "),
        ([NeverReset], "after two batches in a graph; expected 2, its value outside of a graph. Keep the state"),
        ([VariableThatIsNotReset], "metrics(): got own "),
        ([Numpy], "metrics(): AttributeError: 'SymbolicTensor' object has no attribute 'numpy'"),
        ([SymbolicState], "metrics(): "),
        ([PerClass], "metrics(): got the metric 'own' of shape [2]; expected a number, or a mapping of names"),
        ([NamedLoss], "metrics(): got two values with the name 'loss'; expected one value per name"),
        ([Own, Own], "metrics(): got two values with the name 'own'"),
    ],
)
def test_metric_that_is_wrong_in_a_graph_is_refused(metrics: list[type[Own]], message: str, tmp_path: Path) -> None:
    task = Line({})
    task.metrics = lambda: [each() for each in metrics]  # type: ignore[method-assign]
    assert message in refusal(task, tmp_path)


def test_metrics_of_keras_and_metrics_with_several_values_are_accepted(tmp_path: Path) -> None:
    task = Line({})
    task.metrics = lambda: [  # type: ignore[method-assign]
        TwoValues(),
        keras.metrics.MeanAbsoluteError(name="error"),
        keras.metrics.R2Score(name="r2"),
        keras.metrics.AUC(name="auc"),
        keras.metrics.MeanMetricWrapper(lambda y, p: tf.abs(y - p[:, 0]), name="wrapped"),
    ]
    task.loss = lambda labels, outputs: tf.abs(labels - outputs[:, 0])  # type: ignore[method-assign]
    task.examples = lambda: Line.examples(task).map(lambda x, y: (x, tf.minimum(y, 1.0)))  # type: ignore[method-assign]
    task.model = lambda: keras.Sequential(  # type: ignore[method-assign]
        [keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    found = attempt(task, tmp_path)
    assert set(found) == {"sum", "twice", "error", "r2", "auc", "wrapped", "loss"}
    assert found["twice"] == pytest.approx(2 * found["sum"])
    assert found["loss"] == pytest.approx(found["wrapped"]) == pytest.approx(found["sum"] / 16)


def test_model_that_draws_random_numbers_is_accepted(tmp_path: Path) -> None:
    task = Line({})
    task.metrics = lambda: [Own()]  # type: ignore[method-assign]
    task.model = lambda: keras.Sequential(  # type: ignore[method-assign]
        [keras.Input((3,)), keras.layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x))), keras.layers.Dense(1)]
    )
    attempt(task, tmp_path)


TABLES: list[Any] = []
FREE: list[Any] = []


class Lookup(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x + TABLES[0].lookup(tf.cast(x, tf.int64))


class OwnVariable(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.w = tf.Variable(tf.ones([shape[-1]]))

    def call(self, x: Any) -> Any:
        return x * self.w


class FreeVariable(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x * FREE[0]


class Subclass(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def build(self, shape: Any) -> None:
        self.built = True

    def call(self, x: Any) -> Any:
        return self.dense(x)


def with_layer(layer: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])


def built_only_by_name() -> Any:
    model = Subclass()
    model.build((None, 3))
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: with_layer(Lookup()),
            "the export of the model: AssertionError: Tried to export a function",
        ),
        (
            lambda: with_layer(OwnVariable()),
            "trainable variable sequential/own_variable/Variable:0, which is not",
        ),
        (lambda: with_layer(FreeVariable()), "model() or loss(): got the trainable variable free:0, which is not a"),
        (built_only_by_name, "dense/kernel only when it is called; expected a model whose variables exist"),
        (Subclass, "model(): got a model that is not built; expected a model whose variables exist. Begin the model"),
        (lambda: 1 / 0, "model(): ZeroDivisionError: division by zero"),
    ],
)
def test_model_that_cannot_be_restored_or_exported_is_refused(model: Any, message: str, tmp_path: Path) -> None:
    keys = tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant([0.5, 1.5]))
    TABLES[:], FREE[:] = [tf.lookup.StaticHashTable(keys, -1.0)], [tf.Variable(2.0, name="free")]
    task = Line({})
    task.model = model  # type: ignore[method-assign]
    keras.utils.clear_session()
    assert message in refusal(task, tmp_path)


def test_variables_that_need_no_training_are_accepted(tmp_path: Path) -> None:
    class Constant(OwnVariable):
        def build(self, shape: Any) -> None:
            self.w = tf.Variable(tf.ones([shape[-1]]), trainable=False)

    frozen = keras.layers.Dense(3)
    frozen.trainable = False
    for layer in (Constant(), frozen, keras.layers.BatchNormalization()):
        task = Line({})
        task.model = lambda layer=layer: with_layer(layer)  # type: ignore[method-assign]
        attempt(task, tmp_path)


class Running(keras.layers.Layer):
    """Subtracts a running mean, which it keeps at `hold`."""

    def __init__(self, hold: str) -> None:
        super().__init__()
        mean = tf.Variable(0.0, trainable=False, name="running")
        self.held: Any = {"list": [mean], "dict": {"a": mean}, "attribute": mean, "nowhere": None}[hold]
        FREE[:] = [mean]

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            FREE[0].assign(0.5 * FREE[0] + tf.reduce_mean(x))
        return x - FREE[0]


@pytest.mark.parametrize("hold", ["list", "dict", "nowhere"])
def test_variable_that_changes_and_is_not_in_a_checkpoint_is_refused(hold: str, tmp_path: Path) -> None:
    task = Line({})
    task.model = lambda: with_layer(Running(hold))  # type: ignore[method-assign]
    message = refusal(task, tmp_path)
    assert "model() or loss(): got the variable running:0, which changes in training and is not in a che" in message


def test_variable_that_the_loss_changes_is_refused(tmp_path: Path) -> None:
    task, steps = Line({}), tf.Variable(0.0, trainable=False, name="annealed")

    def loss(labels: Any, outputs: Any) -> Any:
        return tf.square(labels - outputs[:, 0]) * steps.assign_add(1.0)

    task.loss = loss  # type: ignore[method-assign]
    assert "model() or loss(): got the variable annealed:0, which changes in training" in refusal(task, tmp_path)


def test_variables_that_a_checkpoint_contains_may_change(tmp_path: Path) -> None:
    def model() -> Any:
        inputs, layers = keras.Input((3,)), keras.layers
        x = layers.SpectralNormalization(layers.Dense(3))(layers.BatchNormalization()(inputs))
        x = layers.GaussianNoise(0.1)(layers.Dropout(0.5)(x))
        return keras.Model(inputs, layers.Dense(1)(layers.RNN(layers.GRUCell(2, dropout=0.5))(x[:, :, None])))

    task = Line({})
    for made in (model, lambda: with_layer(Running("attribute"))):
        task.model = made  # type: ignore[method-assign]
        attempt(task, tmp_path)


def test_trainable_variable_of_the_loss_is_refused(tmp_path: Path) -> None:
    task = Line({})
    scale = tf.Variable(1.0, name="scale")
    task.loss = lambda labels, outputs: scale * tf.square(labels - outputs[:, 0])  # type: ignore[method-assign]
    assert "the trainable variable scale:0" in refusal(task, tmp_path)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda y, p: tf.reshape(tf.square(y[:, None] - tf.concat([p, p], 1)), [-1]), "returned 16 losses for 8 examp"),
        (lambda y, p: tf.reduce_mean(tf.square(y - p[:, 0]), keepdims=True), "returned 1 losses for 8 examples"),
        (
            lambda y, p: tf.square(y - p),
            "loss(): got losses of shape [8, 8] for 8 examples; expected one loss per",
        ),
        (lambda y, p: tf.boolean_mask(tf.square(y - p[:, 0]), y > 1.0), "is not compatible with expected shape [8]"),
        (lambda y, p: tf.square(y - p)[:, None], "loss(): got losses of shape [8, 1, 8] for 8 examples"),
    ],
)
def test_loss_that_is_not_one_per_example_is_refused(loss: Any, message: str, tmp_path: Path) -> None:
    task = Line({})
    task.loss = loss  # type: ignore[method-assign]
    assert message in refusal(task, tmp_path)


def test_mean_over_steps_that_a_mask_leaves_out_is_refused(tmp_path: Path) -> None:
    def model() -> Any:
        inputs = keras.Input((3,))
        table = keras.layers.Embedding(5, 2, mask_zero=True)
        return keras.Model(inputs, keras.layers.Dense(1)(table(keras.layers.Lambda(tf.round)(inputs))))

    task = Line({})
    task.model = model  # type: ignore[method-assign]
    task.loss = lambda labels, outputs: tf.square(labels[:, None] - outputs[:, :, 0])  # type: ignore[method-assign]
    assert "loss(): ValueError: returned losses of several steps for outputs with a mask" in refusal(task, tmp_path)
    task.loss = lambda labels, outputs: tf.reduce_sum(outputs, [1, 2])  # type: ignore[method-assign]
    attempt(task, tmp_path)


def divided_by_the_batch(y: Any, p: Any) -> Any:
    counted = tf.cast(y > 1.5, tf.float32)
    return tf.square(y - p[:, 0]) * counted / tf.reduce_mean(counted)


def against_the_others(y: Any, p: Any) -> Any:
    similar = tf.matmul(p, p, transpose_b=True)
    return keras.losses.sparse_categorical_crossentropy(tf.range(tf.shape(y)[0]), similar, from_logits=True)


@pytest.mark.parametrize("loss", [divided_by_the_batch, against_the_others])
def test_loss_that_depends_on_other_examples_is_refused_for_several_replicas(loss: Any, tmp_path: Path) -> None:
    task = Line({})
    task.loss = loss  # type: ignore[method-assign]
    attempt(task, tmp_path)
    message = refusal(task, tmp_path, replicas=2)
    assert message.startswith("loss(): got losses that depend on the other examples of the batch; expected losses of")


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, p: tf.square(y - p[:, 0]) * tf.random.uniform(tf.shape(y)),
        lambda y, p: keras.losses.huber(y[:, None], p) * 1e-9,
        lambda y, p: tf.zeros_like(y),
        lambda y, p: tf.where(y > 1.0, np.nan, y - p[:, 0]),
    ],
)
def test_loss_of_single_examples_is_accepted_for_several_replicas(loss: Any, tmp_path: Path) -> None:
    task = Line({})
    task.loss = loss  # type: ignore[method-assign]
    attempt(task, tmp_path, replicas=2)


def test_loss_may_have_as_many_columns_as_the_batch_has_examples(tmp_path: Path) -> None:
    task = Line({})
    task.model = lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(8)])  # type: ignore[method-assign]
    task.loss = lambda labels, outputs: tf.square(labels[:, None] - outputs)  # type: ignore[method-assign]
    attempt(task, tmp_path)


class Projection(keras.layers.Layer):
    """Multiplies by random numbers that it keeps outside its variables."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = np.random.default_rng().normal(size=(3, 5)).astype("float32")

    def call(self, x: Any) -> Any:
        return tf.matmul(x, self.matrix)


def adapted() -> Any:
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng().normal(size=(4, 3)))
    return layer


@pytest.mark.parametrize("layer", [Projection, adapted])
def test_model_that_is_another_one_at_each_call_is_refused(layer: Any, tmp_path: Path) -> None:
    task = Line({})
    task.model = lambda: with_layer(layer())  # type: ignore[method-assign]
    assert "model(): got two models whose outputs differ with the same weights; expected" in refusal(task, tmp_path)


def test_model_of_lists_and_tables_is_the_same_one_at_each_call(tmp_path: Path) -> None:
    def model() -> Any:
        inputs, layers = keras.Input((3,)), keras.layers
        x = layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)])(layers.Reshape((3, 1))(inputs))
        ids = layers.Lambda(lambda each: tf.cast(each[:, 0] * 4, tf.int32))(inputs)
        return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([x, Embedding(5, 3)(ids)])))

    task = Line({})
    task.model = model  # type: ignore[method-assign]
    attempt(task, tmp_path)


@pytest.mark.parametrize("method", ["train_step", "test_step", "compute_loss"])
def test_step_of_the_model_itself_is_refused(method: str, tmp_path: Path) -> None:
    own = type("Own", (keras.Model,), {method: lambda *args, **kwargs: None})
    inputs = keras.Input((3,))
    task = Line({})
    task.model = lambda: own(inputs, keras.layers.Dense(1)(inputs))  # type: ignore[method-assign]
    assert f"model(): got a model with a {method}() of its own; expected a model that" in refusal(task, tmp_path)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (lambda data: data.repeat().batch(8), 'dataset(context, "eval"): got an endless dataset'),
        (lambda data: data.take(0).batch(8), 'dataset(context, "eval"): got an empty dataset'),
        (lambda data: data.filter(lambda x, y: y < -1).batch(8), 'dataset(context, "eval"): got no batch'),
        (lambda data: data.batch(8).map(lambda x, y: x), "expected a tuple (features, labels)"),
    ],
)
def test_held_out_data_that_cannot_be_evaluated_are_refused(held_out: Any, message: str, tmp_path: Path) -> None:
    task = Line({})
    task.dataset = lambda context, split: held_out(task.examples())  # type: ignore[method-assign]
    assert message in refusal(task, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": lambda y, p: tf.square(y - p)}, "loss(): got losses of shape [8, 8] for 8 examples"),
        ({"model": lambda: with_layer(Projection())}, "model(): got two models whose outputs differ"),
        ({"model": built_only_by_name}, "/kernel only when it is called"),
        (
            {"examples": lambda: Line.examples(Line({})).take(0)},
            'dataset(context, "train"): got a dataset of 0 batches',
        ),
    ],
)
def test_task_without_held_out_data_is_tried_with_its_training_data(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    def task() -> Task:
        made = Line({})
        made.dataset = lambda context, split: None if split == "eval" else Line.dataset(made, context, split)  # type: ignore[method-assign]
        return made

    assert attempt(task(), tmp_path) == {}
    changed = task()
    for name, value in change.items():
        setattr(changed, name, value)
    assert message in refusal(changed, tmp_path)


def test_early_stopping_needs_a_metric_of_the_task(tmp_path: Path) -> None:
    attempt(Line({}), tmp_path, EarlyStopping(metric="loss", mode="min"))
    with pytest.raises(ConfigError, match=r'trainer.earlyStopping.metric: got "acc"; expected one of "loss"'):
        attempt(Line({}), tmp_path, EarlyStopping(metric="acc"))
    task = Line({})
    task.dataset = lambda context, split: None if split == "eval" else Line.dataset(task, context, split)  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="expected a task with evaluation data"):
        attempt(task, tmp_path, EarlyStopping(metric="loss"))


def test_errors_that_may_pass_are_not_errors_of_the_task(tmp_path: Path) -> None:
    task = Line({})

    def read(x: Any, y: Any) -> Any:
        raise tf.errors.UnavailableError(None, None, "the storage is away")

    task.model = lambda: read(0, 0)  # type: ignore[method-assign]
    with pytest.raises(tf.errors.UnavailableError):
        attempt(task, tmp_path)
