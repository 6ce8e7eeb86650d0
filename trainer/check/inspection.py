"""The test of a task: every method of the task is called as a run calls it."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from typing import Final

import keras
import tensorflow as tf

from trainer import embedding
from trainer.check import counts
from trainer.check.report import Report, shapes
from trainer.engine import batches, steps, trial, untracked
from trainer.engine import strategy as strategies
from trainer.engine.calling import calling
from trainer.engine.evaluation import Evaluation, read_split
from trainer.engine.pipelines import pipeline_function
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import TaskFailed
from trainer.runtime.types import Json, Model, Strategy
from trainer.storage import files
from trainer.task import DataContext, Task, load

_TIMED_STEPS: Final = 5
_TIMED_SECONDS: Final = 10.0


def check(settings: TrainerConfig, data_dir: str | None, replicas: int = 1) -> Report:
    """Test the task in `settings` and return its description.

    Args:
        settings: The `trainer` block, with the task and its hyperparameters.
        data_dir: The directory of the task's data, or None.
        replicas: The number of replicas, each on a logical CPU. 1: one device, a GPU if there is one.

    Raises:
        ConfigError: The task does not exist, or a setting is invalid.
        TaskFailed: A method of the task raises an error.
        InvalidTask: A method of the task returns something invalid.

    """
    # No code before this line may use a device, because TensorFlow could then not split the CPU.
    strategy = strategies.make("OneDevice") if replicas == 1 else strategies.mirrored_cpus(replicas)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    with calling(settings.task):
        task = load(settings.task, settings.hyperparameters, settings)
    with calling("model() or optimizer()"):
        state = steps.build(task, strategy, settings)
    context = DataContext(batch_size=settings.batch_size // replicas, seed=settings.seed, data_dir=data_dir)
    spec = _training_spec(task, context)
    local = Evaluation(task, batch_size=context.batch_size, data_dir=data_dir)
    outputs = _outputs(task, local.model, spec)
    loss, first, rest = _train(task, strategy, state, settings, data_dir)
    peak, of = counts.peak_memory()
    metrics = _try_the_end(local, settings, replicas)
    parameters, trainable = counts.count(local.model)
    return Report(
        task=settings.task,
        batchSize=settings.batch_size,
        replicas=replicas,
        precision=settings.precision,
        jitCompile=settings.jit_compile,
        parameters=parameters,
        trainableParameters=trainable,
        tables={table.name: [table.rows, table.width] for table in embedding.tables(local.model)},
        inputs=shapes(spec[0], context.batch_size),
        labels=shapes(spec[1], context.batch_size),
        outputs=shapes(outputs, context.batch_size),
        loss=loss,
        metrics=metrics,
        multiplyAddsPerExample=counts.or_none(lambda: counts.multiply_adds(local.model, spec[0])),
        flopsPerExample=counts.or_none(lambda: counts.flops(local.model, spec[0])),
        firstStepSeconds=round(first, 3),
        secondsPerStep=round(rest, 6),
        peakMemoryBytes=peak,
        peakMemoryOf=of,
    )


def _training_spec(task: Task, context: DataContext) -> Json:
    """Return the spec of a training batch, after one was read."""
    with calling('dataset(context, "train")'), batches.refusals():
        dataset = read_split(task, context, batches.TRAIN)
        next(iter(dataset))
    return dataset.element_spec


def _outputs(task: Task, model: Model, spec: Json) -> Json:
    """Return the specs of the model's outputs, after a check that model and loss accept the data."""
    existing = untracked.identities(model.variables)
    with calling(f"model() called with features {shapes(spec[0])}"):
        forward = tf.function(lambda features: model(features, training=True)).get_concrete_function(spec[0])
    outputs = forward.structured_outputs
    trial.require_existing(model, existing)
    with calling(f"loss(labels {shapes(spec[1])}, outputs {shapes(outputs)})"):
        examples = steps.examples_in(spec[0])
        loss = tf.function(lambda *args: steps.per_example(task.loss(*args), examples))
        losses = loss.get_concrete_function(spec[1], outputs)
    trial.require_tracked(model, [*forward.trainable_variables, *losses.trainable_variables])
    return outputs


def _train(
    task: Task, strategy: Strategy, state: steps.TrainState, settings: TrainerConfig, data_dir: str | None
) -> tuple[float, float, float]:
    """Return the loss of the first step, its seconds, and the median seconds of further steps with their data."""
    replicas = strategy.num_replicas_in_sync
    step = steps.replica_step(
        task, state, global_batch=settings.batch_size, replicas=replicas, jit_compile=settings.jit_compile
    )
    pipeline = pipeline_function(task, settings, replicas=replicas, data_dir=data_dir, seed=settings.seed)
    with calling("a step" if replicas == 1 else f"a step with {replicas} replicas"):
        runner = steps.SyncStepRunner(strategy, state, step, strategy.distribute_datasets_from_function(pipeline))
        start = time.monotonic()
        loss = runner.run(1)
        first = time.monotonic() - start
        times: list[float] = []
        while len(times) < _TIMED_STEPS and sum(times) < _TIMED_SECONDS:
            start = time.monotonic()
            runner.run(1)
            times.append(time.monotonic() - start)
    if not math.isfinite(loss):
        raise TaskFailed(
            f"loss(): the first step's loss is {loss}. Look for log(0), 0/0 or features that are not scaled"
        )
    return loss, first, statistics.median(times)


def _try_the_end(local: Evaluation, settings: TrainerConfig, replicas: int) -> dict[str, float]:
    """Evaluate one batch and export the model, as the trial of a run does; return the metrics."""
    with tempfile.TemporaryDirectory() as folder:
        export_to = files.join(folder, "export")
        return trial.run(local, early_stopping=settings.early_stopping, export_to=export_to, replicas=replicas)
