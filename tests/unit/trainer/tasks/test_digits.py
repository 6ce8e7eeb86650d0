"""The task `digits`, and training steps with it in this process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import evaluation, pipelines, steps
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError, InvalidTask
from trainer.storage.checkpoints import Checkpoints, newest_complete
from trainer.task import DataContext, load
from trainer.tasks.digits import Digits

PARAMETERS = 85_066


def held_out() -> list[tuple[np.ndarray, np.ndarray]]:
    return [(x.numpy(), y.numpy()) for x, y in load("digits", {}).dataset(DataContext(batch_size=100), "eval")]


def trainee_and_stepper(settings: TrainerConfig) -> tuple[steps.TrainState, steps.SyncStepRunner]:
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    task = load("digits", {"width": 4})
    state = steps.build(task, strategy, settings)
    step = steps.replica_step(task, state, global_batch=settings.batch_size, replicas=1, jit_compile=False)
    pipeline = pipelines.pipeline_function(task, settings, replicas=1, data_dir=None, seed=0)
    data = strategy.distribute_datasets_from_function(pipeline)
    return state, steps.SyncStepRunner(strategy, state, step, data)


def test_network_has_the_expected_number_of_parameters() -> None:
    assert load("digits", {}).model().count_params() == PARAMETERS


def test_evaluation_data_has_the_same_share_of_each_class() -> None:
    batches = held_out()
    labels = np.concatenate([y for _, y in batches])
    images = np.concatenate([x for x, _ in batches])
    assert images.shape == (355, 8, 8, 1)
    assert (images.dtype, int(images.max())) == (np.uint8, 16)
    counts = Counter(labels.tolist())
    assert sorted(counts) == list(range(10))
    assert {34} <= set(counts.values()) <= {34, 35, 36}, "each class has the same share"
    assert [len(y) for _, y in batches] == [100, 100, 100, 55]


def test_pipelines_divide_the_training_images() -> None:
    def images(pipeline: int) -> set[bytes]:
        context = DataContext(batch_size=1, pipelines=2, pipeline=pipeline, seed=1)
        count = 1442 // 2
        data = load("digits", {}).dataset(context, "train").take(count)
        return {x.numpy().tobytes() + bytes([int(y[0])]) for x, y in data}

    first, second = images(0), images(1)
    assert len(first) + len(second) > 1400
    assert len(first & second) < 10, "only duplicate images may be in both"
    everything = {x[i].tobytes() + bytes([int(y[i])]) for x, y in held_out() for i in range(len(y))}
    assert len(everything & (first | second)) < 10


def test_training_lowers_the_loss_and_counts_steps(tmp_path: Path) -> None:
    settings = TrainerConfig(batch_size=32)
    state, runner = trainee_and_stepper(settings)
    first = runner.run(1)
    assert first == pytest.approx(np.log(10), rel=0.2)
    last = [runner.run(20) for _ in range(3)][-1]
    assert last < first
    assert runner.step() == 61
    assert int(state.optimizer.iterations.value) == 61

    parts = {"step": state.step, "model": state.model, "optimizer": state.optimizer}
    Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, **parts).save(61)
    found = newest_complete(str(tmp_path))
    assert found is not None

    again, _ = trainee_and_stepper(settings)
    parts = {"step": again.step, "model": again.model, "optimizer": again.optimizer}
    Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, **parts).restore(found.path)
    assert int(again.step) == int(again.optimizer.iterations.value) == 61
    for before, after in zip(state.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())

    local = evaluation.Evaluation(load("digits", {"width": 4}), batch_size=64, data_dir=None)
    local.restore(found)
    metrics = local.run()
    assert set(metrics) == {"accuracy", "loss"}
    assert metrics == local.run(), "a second evaluation starts from zero"
    images, labels = (np.concatenate(each) for each in zip(*held_out(), strict=True))
    right = np.argmax(local.model(images, training=False).numpy(), axis=1) == labels
    assert metrics["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_non_chiefs_leave_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, checkpoints = tmp_path / "tmp", tmp_path / "checkpoints"
    temporary.mkdir()
    checkpoints.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    step = tf.Variable(0, dtype=tf.int64)
    Checkpoints(str(checkpoints), keep=2, writer=False, on_chief=False, step=step).save(5)
    assert [*temporary.iterdir(), *checkpoints.iterdir()] == []


def test_older_checkpoints_are_deleted(tmp_path: Path) -> None:
    step = tf.Variable(0, dtype=tf.int64)
    checkpoints = Checkpoints(str(tmp_path), keep=2, writer=True, on_chief=False, step=step)
    for number in (5, 10, 15):
        checkpoints.save(number)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == ["ckpt-10.index", "ckpt-15.index"]


def test_batch_size_must_be_a_multiple_of_the_replicas() -> None:
    class TwoReplicas:
        num_replicas_in_sync = 2

    with pytest.raises(ConfigError, match=r"batchSize: got 33; expected a multiple of the 2 replicas.*: 32"):
        steps.build(load("digits", {}), TwoReplicas(), TrainerConfig(batch_size=33))


def test_xla_under_parameter_server_is_refused() -> None:
    strategy = object.__new__(tf.distribute.ParameterServerStrategy)
    with pytest.raises(ConfigError, match=r"trainer\.jitCompile: got true; expected false for ParameterServer"):
        steps.build(load("digits", {}), strategy, TrainerConfig(jit_compile=True))


def test_task_may_choose_mixed_float16_itself() -> None:
    class Half(Digits):
        def model(self) -> object:
            keras.config.set_dtype_policy("mixed_float16")
            return super().model()

    try:
        state = steps.build(Half({**Digits.defaults}), tf.distribute.get_strategy(), TrainerConfig())
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(state.optimizer, keras.mixed_precision.LossScaleOptimizer)


def test_model_that_is_not_built_is_refused() -> None:
    class Unbuilt(Digits):
        def model(self) -> object:
            return keras.Sequential([keras.layers.Dense(1)])

    with pytest.raises(InvalidTask, match=r"a model that is not built.*Begin the model with keras\.Input"):
        steps.build(Unbuilt({}), tf.distribute.OneDeviceStrategy("/cpu:0"), TrainerConfig())


def test_loss_of_each_example_is_averaged_over_further_dimensions() -> None:
    with pytest.raises(ValueError, match="returned a scalar"):
        steps.per_example(tf.constant(1.0), 2)
    assert steps.per_example(tf.constant([1.0, 2.0]), 2).numpy().tolist() == [1.0, 2.0]
    assert steps.per_example(tf.ones([2, 3, 4]) * 2, None).numpy().tolist() == [2.0, 2.0]


def test_regularization_loss_counts_once_over_all_replicas() -> None:
    class Regularized(Digits):
        def model(self) -> object:
            regularizer = keras.regularizers.L2(1.0)
            return keras.Sequential(
                [
                    keras.Input((8, 8, 1)),
                    keras.layers.Flatten(),
                    keras.layers.Dense(10, use_bias=False, kernel_initializer="ones", kernel_regularizer=regularizer),
                ]
            )

        def loss(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return tf.zeros_like(labels, tf.float32)

    task = Regularized({"learning_rate": 1e-3})
    state = steps.build(task, tf.distribute.OneDeviceStrategy("/cpu:0"), TrainerConfig())
    step = steps.replica_step(task, state, global_batch=2, replicas=2, jit_compile=False)
    assert float(step((tf.zeros([1, 8, 8, 1]), tf.zeros([1], tf.int64)))) == pytest.approx(640 / 2)


def test_regularization_losses_may_have_several_types() -> None:
    class Regularized(Digits):
        def model(self) -> object:
            options = {"kernel_regularizer": "l2", "activity_regularizer": "l2", "dtype": "mixed_float16"}
            layers = [keras.layers.Flatten(), keras.layers.Dense(10, kernel_initializer="ones", **options)]
            return keras.Sequential([keras.Input((8, 8, 1)), *layers])

        def loss(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return tf.zeros_like(labels, tf.float32)

    task = Regularized({"learning_rate": 1e-3})
    state = steps.build(task, tf.distribute.OneDeviceStrategy("/cpu:0"), TrainerConfig())
    step = steps.replica_step(task, state, global_batch=1, replicas=1, jit_compile=False)
    # 640 weights that are 1, and 10 activations that are 64.
    found = float(step((tf.ones([1, 8, 8, 1]), tf.zeros([1], tf.int64))))
    assert found == pytest.approx(0.01 * (640 + 10 * 64**2), rel=1e-3)


def test_iterations_are_incremented_by_an_atomic_operation() -> None:
    optimizer = keras.optimizers.SGD()
    optimizer.build([keras.Variable(1.0)])
    steps.make_iterations_atomic(optimizer)
    graph = tf.function(lambda: optimizer.iterations.assign_add(1)).get_concrete_function().graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "AssignAddVariableOp" in kinds
    assert "AssignVariableOp" not in kinds
