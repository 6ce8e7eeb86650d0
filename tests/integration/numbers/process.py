"""Train a list of cases under some strategies and save the results: one process of test_numbers.

Usage: python -m tests.integration.numbers.process CASES.json FOLDER STRATEGY...

STRATEGY is `one`, `mirrored2`, `mirrored3`, `server` (ParameterServer with one worker), `multi` (with TF_CONFIG) or
`reference1` to `reference3`. A reference is plain Keras on one device, without the trainer's loop. It splits each batch
into one part per replica. The results are saved to FOLDER/STRATEGY-CASE.npz.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.integration.numbers.cases import STEPS, Case, parts_of, trains
from tests.integration.numbers.tasks import BATCH, branch_of, task
from trainer.engine import averages, batches, gradients, recovery, replicated
from trainer.engine.consensus import Consensus
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
from trainer.storage.checkpoints import Checkpoints, restore_model
from trainer.task import Task

Results = dict[str, Any]


@dataclass
class Started:
    """A case that has begun under a strategy, as a run of the trainer begins."""

    state: TrainState
    stepper: StepRunner
    saver: Checkpoints
    copies: replicated.Copies
    task: Task

    def save(self) -> str:
        """Save a checkpoint as a run does; return its path."""
        self.copies.bring_together()
        return self.saver.save(self.stepper.step()).path


def start(case: Case, name: str, strategy: Any, restore: str | None = None) -> Started:
    """Begin `case` under `strategy`, or continue it from the checkpoint at `restore`."""
    jit = case.get("jit", False)
    settings = TrainerConfig(batch_size=BATCH, precision=case["precision"], jit_compile=jit, seed=1, steps=STEPS)
    training, replicas = task(case, name), strategy.num_replicas_in_sync
    state = build(training, strategy, settings)
    if name == "server":
        make_iterations_atomic(state.optimizer)
    saver = Checkpoints(
        tempfile.mkdtemp(),
        keep=1,
        writer=True,
        on_chief=False,
        step=state.step,
        model=state.model,
        optimizer=state.optimizer,
        **averages.saved(state.optimizer, state.model),
        **replicated.saved(state.model, state.unseeded),
    )
    if restore:
        saver.restore(restore)
    copies = replicated.Copies(strategy, state.model, state.unseeded)
    step = replica_step(training, state, global_batch=BATCH, replicas=replicas, jit_compile=jit)
    seed = None if name == "server" else 1
    pipeline = pipeline_function(training, settings, replicas=replicas, data_dir=None, seed=seed)
    stepper: StepRunner
    if name == "server":
        workers = recovery.Members(strategy._cluster_resolver.cluster_spec().job_tasks("worker"))
        stepper = ParameterServerStepRunner(strategy, state, step, pipeline, workers)
    else:
        stepper = SyncStepRunner(strategy, state, step, strategy.distribute_datasets_from_function(pipeline))
    copies.draw_apart(seed=1, step=int(state.step.numpy()))
    return Started(state, stepper, saver, copies, training)


def numbers(variables: Iterable[Any]) -> list[Any]:
    """Return the values of `variables`."""
    return [each.numpy() for each in variables]


def by_branch(kind: str, variables: list[Any]) -> Results:
    """Return the values of a model's `variables`, named by their branch and their place in it."""
    places: dict[int, int] = {}
    values = {}
    for each in variables:
        branch = branch_of(each.path)
        place = places[branch] = places.get(branch, -1) + 1
        values[f"{branch}/{kind}/{place:04}"] = each.numpy()
    return values


def of_optimizers(training: Any) -> Results:
    """Return the values of the variables of each branch's optimizer."""
    return {
        f"{branch}/optimizer/{place:04}": value
        for branch, each in training.optimizers.items()
        for place, value in enumerate(numbers(each.variables))
    }


def trained(case: Case, name: str, strategy: Any) -> Results:
    """Return the variables after some steps of the trainer's own loop, and what is exported of them."""
    started = start(case, name, strategy)
    started.stepper.run(STEPS)
    fresh = started.task.model()
    restore_model(started.save(), fresh)
    return {
        **by_branch("model", started.state.model.variables),
        **of_optimizers(started.task),
        **by_branch("exported", fresh.variables),
    }


def overflowed(case: Case, name: str, strategy: Any) -> Results:
    """Return what each replica of this process has counted after each of 30 segments, and the weights."""
    started = start(case, name, strategy)
    optimizer, counted = started.state.optimizer, []
    counters = [optimizer.iterations, optimizer.dynamic_scale, optimizer.step_counter]
    for _ in range(30):
        started.stepper.run(case["steps"] // 30)
        counted.append([numbers(strategy.experimental_local_results(each.value)) for each in counters])
    return {"counted": np.array(counted, "float64"), "weights": np.concatenate(flat(started.state.model))}


def flat(model: Any) -> list[Any]:
    """Return all weights of `model`, each of one dimension."""
    return [each.ravel() for each in numbers(model.variables)]


def wait_for_workers(strategy: Any) -> None:
    """Wait until every worker has come here."""
    float(tf.function(lambda: strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None))())


def drawn(case: Case, name: str, strategy: Any) -> Results:
    """Return what each replica draws: twice in a run, twice after its checkpoint, and twice after a restart from it."""
    started = start(case, name, strategy)
    started.stepper.run(1)
    draw = drawing(started, strategy)
    before = draw()
    path = started.save()
    if worker := json.loads(os.environ.get("TF_CONFIG", "{}")).get("task"):
        # All workers restore what the first one has written, as those of a run do.
        if worker["index"] == 0:
            (Path(sys.argv[2]) / "path").write_text(path)
        wait_for_workers(strategy)
        path = (Path(sys.argv[2]) / "path").read_text()
    after = draw()
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    return {
        "before": before,
        "after": after,
        "restarted": drawing(start(case, name, strategy, restore=path), strategy)(),
    }


def drawing(started: Started, strategy: Any) -> Callable[[], Any]:
    """Return the function that returns two draws of all sources: `[time, replica, example, source]`."""
    model, unseeded = started.state.model, started.state.unseeded

    def replica() -> Any:
        replicated.draw_unseeded_from(unseeded)
        return model(tf.ones([4, 4]), training=True)[1]

    run = tf.function(lambda: strategy.run(replica))
    return lambda: np.array([numbers(strategy.experimental_local_results(run())) for _ in range(2)])


def exported(case: Case, name: str, strategy: Any) -> Results:
    """Return the weights after some steps, their averages, and what is evaluated and exported."""
    started = start(case, name, strategy)
    started.stepper.run(case["steps"])
    fresh = started.task.model()
    restore_model(started.save(), fresh)
    values = {"raw": started.state.model.variables, "exported": [*fresh.variables, *replicated.counted(fresh)]}
    averages_of = getattr(started.state.optimizer, "_model_variables_moving_average", [])
    values["average"] = averages_of
    return {
        f"{kind}/{place}/{each.name.partition(':')[0]}": each.numpy()
        for kind, found in values.items()
        for place, each in enumerate(found)
    }


def communication(case: Case, name: str, strategy: Any) -> Results:
    """Return the number of operations of a step in which the workers reduce something."""
    started = start(case, name, strategy)
    step = replica_step(
        started.task, started.state, global_batch=BATCH, replicas=strategy.num_replicas_in_sync, jit_compile=False
    )
    size = BATCH // strategy.num_replicas_in_sync
    batch = tf.ones([size, 3]), tf.ones([size])
    graph = tf.function(lambda: strategy.run(step, args=(batch,))).get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {"reductions": np.array([node.op.startswith("CollectiveReduce") for node in nodes]).sum()}


def agreement(case: Case, name: str, strategy: Any) -> Results:
    """Return what the two workers find out together: whether texts and the specs of their data are equal."""
    consensus = Consensus(strategy, 2)
    texts = {"same": "a", "different": f"a{os.environ['TF_CONFIG']}", "empty": ""}
    worker = strategy.cluster_resolver.task_id
    found: Results = {text: np.array(consensus.all_equal(value)) for text, value in texts.items()}
    for what, (width, dtype) in {"data": (3, "float32"), "shapes": (None, "float32"), "dtypes": (3, None)}.items():
        x = tf.ones([6, width or 3 + worker], dtype or ("float32", "float64")[worker])
        spec = tf.data.Dataset.from_tensors((x, tf.ones([6]))).element_spec
        try:
            batches.require_same_spec(spec, consensus.all_equal)
            found[what] = np.array("")
        except batches.InvalidData as error:
            found[what] = np.array(str(error))
    return found


def total(shares: Any) -> Any:
    """Return the sum of the gradients of all parts; rows of a table stay apart, as they do in one batch."""
    if isinstance(shares[0], tf.IndexedSlices):
        values, indices = (tf.concat(each, 0) for each in zip(*((s.values, s.indices) for s in shares), strict=True))
        return tf.IndexedSlices(values, indices, shares[0].dense_shape)
    return tf.add_n(list(shares))


def reference(case: Case, parts: int) -> Results:
    """Return the result of plain Keras on one device, of the same batches, each cut into `parts`."""
    training = task(case, f"reference{parts}")
    model = training.model()
    optimizer = gradients.scaled(training.optimizer(), case["precision"])
    optimizer.build(model.trainable_variables)
    states = [numbers(model.non_trainable_variables) for _ in range(parts)]

    @tf.function(jit_compile=case["jit"])
    def share(x: Any, y: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(training.loss(y, model(x, training=True)) * weights) / BATCH
            loss += tf.add_n(model.losses) / parts if model.losses else 0.0
            loss = optimizer.scale_loss(loss)
        return tape.gradient(loss, model.trainable_variables)

    apply = tf.function(lambda sums: optimizer.apply(sums, model.trainable_variables))
    for step in range(STEPS):
        shares = []
        for part in range(parts):
            for variable, value in zip(model.non_trainable_variables, states[part], strict=True):
                variable.assign(value)
            shares.append(share(*batch(training, parts, step * parts + part)))
            states[part] = numbers(model.non_trainable_variables)
        apply([total(each) for each in zip(*shares, strict=True)])
    for variable, *values in zip(model.non_trainable_variables, *states, strict=True):
        variable.assign(np.mean(values, axis=0))
    raw = {**by_branch("model", model.variables), **of_optimizers(training)}
    optimizer.finalize_variable_values(model.trainable_variables)
    return {**raw, **by_branch("exported", model.variables)}


def batch(training: Any, parts: int, number: int) -> Any:
    """Return the batch `number` of one of `parts` replicas."""
    size = BATCH // parts
    records = tf.nest.map_structure(lambda each: each[number * size : (number + 1) * size], training.records())
    return records if len(records) == 3 else (*records, np.ones(size, "float32"))


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


KINDS = {
    "product": trained,
    "overflow": overflowed,
    "random": drawn,
    "communication": communication,
    "agreement": agreement,
}


def results(case: Case, name: str, chosen: Any) -> Results:
    """Return what comes out of `case` under the strategy `chosen`; None stands for a reference."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(case["precision"])
    if chosen is None:
        return reference(case, int(name[-1])) if case["kind"] == "product" and parts_of(case, name) else {}
    if not trains(case, name):
        return {}
    return KINDS.get(case["kind"], exported)(case, name, chosen)


def main() -> None:
    """Train all cases under all strategies."""
    # No garbage collection looks at the objects of the imports, nor at a graph while it is traced.
    gc.freeze()
    gc.disable()
    cases, folder, names = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), sys.argv[3:]
    if names != ["multi"]:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    for name in names:
        chosen = None if name.startswith("reference") else strategy(name)
        worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"] if name == "multi" else ""
        for number, case in enumerate(cases):
            np.savez(folder / f"{name}{worker}-{number}.npz", **results(case, name, chosen))
            gc.collect()
    os._exit(0)  # dropping the servers takes long


if __name__ == "__main__":
    main()
