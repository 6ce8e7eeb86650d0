"""Run a list of cases under some strategies and save what comes out: a process of its own, started by test_numbers.

Usage: python -m tests.integration.numbers_case CASES.json FOLDER STRATEGY...

STRATEGY is `one`, `mirrored2`, `mirrored3`, `server` (ParameterServer with one worker), `multi` (with TF_CONFIG) or
`reference1` to `reference3`. A reference is plain Keras on one device, without the trainer's loop. It splits each batch
into one part per replica. The results of STRATEGY are saved to FOLDER/STRATEGY.npz.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.engine import averages, gradients, replicated
from trainer.engine.loop import StepRunner
from trainer.engine.pipelines import pipeline_function
from trainer.engine.steps import (
    ParameterServerStepRunner,
    SyncStepRunner,
    TrainState,
    build,
    make_iterations_atomic,
    replica_step,
)
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError
from trainer.storage.checkpoints import Checkpoints, restore_model
from trainer.task import DataContext, Task

BATCH, STEPS = 12, 7

Case = dict[str, Any]


def records(case: Case) -> tuple[np.ndarray, ...]:
    """Return the features, labels and weights of all steps."""
    random = np.random.default_rng(5)
    x = random.normal(size=(BATCH * STEPS, 4)).astype("float32")
    if case["model"] == "embedding":
        x = random.integers(0, 6, size=x.shape)
    y = random.normal(size=len(x)).astype("float32") * 3
    weights = random.uniform(0, 2, size=len(x)).astype("float32")
    return (x, y, weights) if case["weights"] else (x, y)


def huge(batch: int, number: Any) -> Any:
    """Return the batch `number`: in some steps that of the last replica makes float16 overflow."""
    replicas = BATCH // batch
    step, replica = number // replicas, number % replicas
    overflows = tf.logical_and(tf.logical_or(step % 37 == 5, step % 97 == 3), replica == replicas - 1)
    return tf.ones([batch, 4]) * tf.where(overflows, np.inf, 1.0), tf.fill([batch], 3.0)


class Noise(keras.layers.Layer):  # type: ignore[misc]
    """Random numbers of two sources: a layer's own state, and none: Keras' where it can, on one device."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, inputs: Any) -> Any:
        """Return `[batch, 2]`."""
        shape = (tf.shape(inputs)[0], 1)
        alone = isinstance(tf.distribute.get_strategy(), tf.distribute.OneDeviceStrategy)
        without_state = keras.random.normal if alone else tf.random.normal
        return tf.concat([keras.random.normal(shape, seed=self.seed), without_state(shape)], axis=1)


class Tried(Task):
    """The task of a case."""

    case: Case

    def model(self) -> Any:
        """Return a small model with what the case asks for."""
        keras.utils.set_random_seed(1)
        embedding = self.case["model"] == "embedding"
        inputs = keras.Input((4,), dtype="int64" if embedding else "float32")
        x = keras.layers.Flatten()(keras.layers.Embedding(6, 3)(inputs)) if embedding else inputs
        regularizer = keras.regularizers.L2(0.1) if self.case["regularizer"] else None
        x = keras.layers.Dense(5, use_bias=False, kernel_regularizer=regularizer)(x)
        if self.case["norm"]:
            synchronized = self.case["norm"] == "synchronized"
            x = keras.layers.BatchNormalization(momentum=0.5, synchronized=synchronized)(x)
        if self.case["kind"] == "random":
            return keras.Model(inputs, [keras.layers.Dense(1)(x)[:, 0], Noise()(inputs)])
        if self.case["kind"] != "overflow":
            x = keras.layers.Activation("tanh")(x)
        return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x))

    def optimizer(self) -> Any:
        """Return the optimizer with the options of the case."""
        if self.case["kind"] == "overflow":
            scaling = keras.mixed_precision.LossScaleOptimizer
            return scaling(keras.optimizers.SGD(1e-3), initial_scale=2.0**10, dynamic_growth_steps=20)
        return getattr(keras.optimizers, self.case["optimizer"])(0.05, **self.case["options"])

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Return the squares."""
        outputs = outputs[0] if self.case["kind"] == "random" else outputs[:, 0]
        return tf.square(labels - outputs)

    def dataset(self, context: DataContext, split: str) -> Any:
        """Return this pipeline's part of each step's batch."""
        if self.case["kind"] == "overflow":
            return (
                tf.data.Dataset.counter()
                .map(partial(huge, context.batch_size))
                .shard(context.pipelines, context.pipeline)
            )
        data = tf.data.Dataset.from_tensor_slices(records(self.case)).batch(context.batch_size, drop_remainder=True)
        return data.shard(context.pipelines, context.pipeline).repeat()


def tried(case: Case) -> Tried:
    """Return the task of `case`."""
    task = Tried({})
    task.case = case
    return task


@dataclass
class Started:
    """A case that has begun under a strategy, as a run of the trainer begins."""

    trainee: TrainState
    stepper: StepRunner
    saver: Checkpoints
    copies: replicated.Copies
    task: Task

    def save(self) -> str:
        """Save a checkpoint as a run does; return its path."""
        self.copies.bring_together()
        return self.saver.save(self.stepper.step()).path

    def values(self) -> list[Any]:
        """Return the variables, then what is evaluated and exported of the checkpoint of now."""
        exported = self.task.model()
        restore_model(self.save(), exported)
        return numbers([*self.trainee.model.variables, *self.trainee.optimizer.variables, *exported.variables])


def start(case: Case, strategy: Any, restore: str | None = None) -> Started:
    """Begin `case` under `strategy`, or continue it from the checkpoint at `restore`."""
    settings = TrainerConfig(
        batch_size=BATCH, precision=case["precision"], jit_compile=case["jit"], seed=1, steps=STEPS
    )
    task, replicas = tried(case), strategy.num_replicas_in_sync
    server = isinstance(strategy, tf.distribute.ParameterServerStrategy)
    trainee = build(task, strategy, settings)
    if server:
        make_iterations_atomic(trainee.optimizer)
    saver = Checkpoints(
        tempfile.mkdtemp(),
        keep=1,
        writer=True,
        on_chief=False,
        step=trainee.step,
        model=trainee.model,
        optimizer=trainee.optimizer,
        **averages.saved(trainee.optimizer, trainee.model),
        **replicated.saved(trainee.model),
    )
    if restore:
        saver.restore(restore)
    copies = replicated.Copies(strategy, trainee.model)
    copies.draw_apart(seed=1, step=int(trainee.step.numpy()))
    step = replica_step(task, trainee, global_batch=BATCH, replicas=replicas, jit_compile=case["jit"])
    pipeline = pipeline_function(task, settings, replicas=replicas, data_dir=None, seed=None if server else 1)
    stepper: StepRunner
    if server:
        stepper = ParameterServerStepRunner(strategy, trainee, step, pipeline)
    else:
        stepper = SyncStepRunner(strategy, trainee, step, strategy.distribute_datasets_from_function(pipeline))
    return Started(trainee, stepper, saver, copies, task)


def numbers(variables: list[Any]) -> list[Any]:
    """Return the values of `variables`."""
    return [each.numpy() for each in variables]


def trained(case: Case, strategy: Any) -> list[Any]:
    """Return the variables after some steps of the trainer's own loop."""
    started = start(case, strategy)
    started.stepper.run(STEPS)
    return started.values()


def copies_of(variable: Any, strategy: Any) -> list[Any]:
    """Return the value that each replica of this process has of `variable`."""
    return numbers(list(strategy.experimental_local_results(variable.value)))


def overflowed(case: Case, strategy: Any) -> list[Any]:
    """Return what each replica has counted over 3,000 steps, of which some overflow in one replica, and the weights."""
    started = start(case, strategy)
    optimizer, counted = started.trainee.optimizer, []
    for _ in range(30):
        started.stepper.run(100)
        counted.append(
            [
                copies_of(each, strategy)
                for each in (optimizer.iterations, optimizer.dynamic_scale, optimizer.step_counter)
            ]
        )
    return [np.array(counted, "float64"), *numbers(started.trainee.model.variables)]


def wait_for_workers(strategy: Any) -> None:
    """Wait until every worker has come here."""
    wait = tf.function(lambda: strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None))
    float(wait())


def drawn(case: Case, strategy: Any) -> list[Any]:
    """Return what each replica draws: twice in a run, twice after its checkpoint, and twice after a restart from it."""

    def drawing(started: Started) -> Any:
        run = tf.function(lambda: strategy.run(lambda: started.trainee.model(tf.ones([4, 4]), training=True)[1]))
        return lambda: np.array(
            [[each.numpy() for each in strategy.experimental_local_results(run())] for _ in range(2)]
        )

    started = start(case, strategy)
    started.stepper.run(1)
    draw = drawing(started)
    before = draw()
    path = started.save()
    if task := json.loads(os.environ.get("TF_CONFIG", "{}")).get("task"):
        # All workers restore what the first one has written, as those of a run do.
        if task["index"] == 0:
            (Path(sys.argv[2]) / "path").write_text(path)
        wait_for_workers(strategy)
        path = (Path(sys.argv[2]) / "path").read_text()
    after = draw()
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    return [before, after, drawing(start(case, strategy, restore=path))()]


def total(shares: Any) -> Any:
    """Return the sum of the gradients of all parts; rows of a table stay apart, as they do in one batch."""
    if isinstance(shares[0], tf.IndexedSlices):
        values, indices = (tf.concat(each, 0) for each in zip(*((s.values, s.indices) for s in shares), strict=True))
        return tf.IndexedSlices(values, indices, shares[0].dense_shape)
    return tf.add_n(list(shares))


def reference(case: Case, parts: int) -> list[np.ndarray]:
    """Return what plain Keras on one device makes of the same batches, each cut into `parts`."""
    if case["norm"] == "synchronized" or (not case["norm"] and case["precision"] == "float32"):
        parts = 1
    task = tried(case)
    model = task.model()
    optimizer = gradients.scaled(task.optimizer(), case["precision"])
    optimizer.build(model.trainable_variables)
    states = [[each.numpy() for each in model.non_trainable_variables] for _ in range(parts)]

    def share(x: Any, y: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(task.loss(y, model(x, training=True)) * weights) / BATCH
            loss += tf.add_n(model.losses) / parts if model.losses else 0.0
            loss = optimizer.scale_loss(loss)
        found = tape.gradient(loss, model.trainable_variables)
        return found

    data = [np.split(each, STEPS) for each in records(case)]
    for step in range(STEPS):
        batch = [np.split(each[step], parts) for each in data]
        weights = batch[2] if case["weights"] else [np.ones(BATCH // parts, "float32")] * parts
        shares = []
        for part in range(parts):
            for variable, value in zip(model.non_trainable_variables, states[part], strict=True):
                variable.assign(value)
            shares.append(share(batch[0][part], batch[1][part], weights[part]))
            states[part] = [each.numpy() for each in model.non_trainable_variables]
        optimizer.apply([total(each) for each in zip(*shares, strict=True)], model.trainable_variables)
    for variable, *values in zip(model.non_trainable_variables, *states, strict=True):
        variable.assign(np.mean(values, axis=0))
    raw = numbers([*model.variables, *optimizer.variables])
    optimizer.finalize_variable_values(model.trainable_variables)
    return [*raw, *numbers(model.variables)]


def server(workers: int = 1) -> Any:
    """Return a ParameterServerStrategy with its servers in this process."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers + 1)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    spec = tf.train.ClusterSpec({"worker": addresses[1:], "ps": addresses[:1]})
    tasks = [("ps", 0), *(("worker", number) for number in range(workers))]
    kept.extend(tf.distribute.Server(spec, job_name=job, task_index=index, protocol="grpc") for job, index in tasks)
    return tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(spec, rpc_layer="grpc")
    )


kept: list[Any] = []
"""Servers must live until the process ends."""


def strategy(name: str) -> Any:
    """Return the strategy called `name`."""
    match name:
        case "multi":
            return tf.distribute.MultiWorkerMirroredStrategy()
        case "server":
            return server()
        case "one":
            return tf.distribute.OneDeviceStrategy("/cpu:0")
        case _:
            return tf.distribute.MirroredStrategy([f"/cpu:{number}" for number in range(int(name[-1]))])


def results(case: Case, name: str, chosen: Any) -> list[Any]:
    """Return what comes out of `case` under the strategy `chosen`, or its refusal."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(case["precision"])
    try:
        if case["kind"] != "equal":
            return (
                []
                if chosen is None or (name, case["kind"]) == ("server", "random")
                else {"overflow": overflowed, "random": drawn}[case["kind"]](case, chosen)
            )
        return trained(case, chosen) if chosen else reference(case, int(name[-1]))
    except ConfigError as error:
        return [np.array(str(error))]


def main() -> None:
    """Run all cases under all strategies."""
    cases, folder, names = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), sys.argv[3:]
    if names != ["multi"]:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    for name in names:
        chosen = None if name.startswith("reference") else strategy(name)
        values = {
            f"{number:04}.{place:04}": value
            for number, case in enumerate(cases)
            for place, value in enumerate(results(case, name, chosen))
        }
        task = json.loads(os.environ["TF_CONFIG"])["task"]["index"] if name == "multi" else ""
        np.savez(folder / f"{name}{task}.npz", **values)
    os._exit(0)  # dropping the servers takes long


if __name__ == "__main__":
    main()
