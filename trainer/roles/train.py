"""The chief or a worker that trains: connect, restore, train, evaluate, export and write DONE."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import keras
import tensorflow as tf

from trainer.engine import averages, batches, export, recovery, replicated, trial, untracked
from trainer.engine import strategy as strategies
from trainer.engine.consensus import Consensus
from trainer.engine.early_stopping import EarlyStop
from trainer.engine.evaluation import EvalSummaryWriter, Evaluation, held_out
from trainer.engine.finite import FiniteCheck, Guard, scale_of
from trainer.engine.loop import Fixed, Loop, SegmentSizer, StepDecision, StepRunner, alone, never
from trainer.engine.pipelines import pipeline_function
from trainer.engine.progress import Progress
from trainer.engine.steps import (
    ParameterServerStepRunner,
    SyncStepRunner,
    TrainState,
    build,
    make_iterations_atomic,
    replica_step,
)
from trainer.peers.health import ServerHealthMonitor
from trainer.peers.preemption import PreemptionHandler
from trainer.peers.watchdog import Watchdog, WatchdogConfig
from trainer.roles import checkpointing, elastic, rendezvous
from trainer.roles.context import Context
from trainer.roles.shutdown import finish
from trainer.roles.start_limit import start_limit
from trainer.runtime.config import DISTRIBUTED
from trainer.runtime.errors import TrainerExit
from trainer.runtime.logs import describe, log, style
from trainer.runtime.types import Dataset, Strategy
from trainer.storage import checkpoints, retry
from trainer.storage.checkpoints import CheckpointRef, Checkpoints, DamagedError
from trainer.task import DataContext, Task, load

_LAST_REDUCE_SECONDS: Final = 0.5
_kept: list[object] = []
"""Objects that must live until the process ends, because deleting a strategy takes seconds."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of the training loop."""

    found: CheckpointRef
    """The last checkpoint."""
    steps_per_second: float | None
    """The mean rate since the first segment; None if no step was left to train."""


def run(context: Context) -> str:
    """Train the run's `Task` to its last step, evaluate and export it; return the exit message.

    Raises:
        TrainerExit: The task ended with an exit code other than 0.

    """
    if context.elastic and not elastic.join(context):
        return f"{context.record.run} was done already, see {context.run_dir.at('DONE')}"
    context.claim(on_lost=lambda error: finish(context, error))
    _serve_metrics(context)
    last = checkpoints.newest_complete(context.run_dir.checkpoints)
    if last is not None and last.step >= last_step(context):
        # Only the evaluation and the export are missing. They need no peers, which may have ended already.
        log.info("step %d was the last step: training is complete", last.step)
        return _end(context, _prepare(context), Trained(last, None))
    strategy = connect(context)
    with _servers_watched(context):
        if context.writes:
            _try_the_end(context, strategy.num_replicas_in_sync, restarted=last is not None)
        task = _prepare(context)
        return _end(context, task, _train(context, task, strategy))


def _serve_metrics(context: Context) -> None:
    """Serve Prometheus metrics if the job file asks for them and this task writes status.json.

    Raises:
        ConfigError: The port is not free.

    """
    env, status = context.env, context.status
    if env.metrics_port and status:
        from trainer.engine import metrics

        metrics.serve(
            env.address, env.metrics_port, metrics.RunCollector(context.record, status.fields, gpus=env.run_gpus)
        )


def last_step(context: Context) -> int:
    """Return the last step of the run: `steps`, or the step of early stopping if that is lower."""
    steps = context.record.trainer.steps
    stop = context.run_dir.early_stop() if context.record.trainer.early_stopping else None
    return min(steps, int(stop["step"])) if stop else steps


@contextmanager
def _servers_watched(context: Context) -> Iterator[None]:
    """Watch the servers of a ParameterServer run inside the `with` block; do nothing for other strategies."""
    if not context.parameter_server:
        yield
        return
    cluster, env = context.cluster, context.env
    servers = cluster.peers("ps", "worker")
    watchdog = Watchdog(
        WatchdogConfig(task=cluster.name, servers=servers, log_format=style(), termination_log=env.termination_log)
    )

    def end(error: TrainerExit) -> None:
        watchdog.close()
        finish(context, error)

    monitor = ServerHealthMonitor(cluster.peers("ps"), cluster.peers("worker"), orphan_timeout=env.orphan_timeout)
    stop = monitor.start(end, watchdog.beat)
    try:
        yield
    finally:
        stop()
        watchdog.close()


def _handle_preemption(context: Context) -> PreemptionHandler | None:
    if not context.parameter_server:
        return None
    cluster = context.cluster
    preemption = PreemptionHandler(cluster.peers("ps"), cluster.peers("worker"), stop_requested=context.stop.is_set)
    preemption.start()
    return preemption


def _prepare(context: Context) -> Task:
    settings = context.record.trainer
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    return load(settings.task, settings.hyperparameters, settings)


def _try_the_end(context: Context, replicas: int, *, restarted: bool) -> None:
    """Try the evaluation and the export, which otherwise run for the first time when everything is trained.

    A restarted run tries only its held-out data, which may have changed. It tried the rest before its first checkpoint.
    """
    started = time.monotonic()
    early_stopping, export_to = context.record.trainer.early_stopping, export.temporary_path(context.run_dir)

    def attempt() -> None:
        task = _prepare(context)
        if restarted:
            data = DataContext(batch_size=context.replica_batch_size, data_dir=context.env.data_dir)
            trial.first_batch(held_out(task, data))
        else:
            local = _evaluation(context, task)
            trial.run(local, early_stopping=early_stopping, export_to=export_to, replicas=replicas)

    retry.call(attempt, "the trial")
    gc.collect()  # The model is part of reference cycles, and its variables may fill the memory of a GPU.
    context.note_startup("trialSeconds", time.monotonic() - started)
    context.connected = time.monotonic()


def _evaluation(context: Context, task: Task) -> Evaluation:
    return Evaluation(task, batch_size=context.replica_batch_size, data_dir=context.env.data_dir)


def connect(context: Context) -> Strategy:
    """Wait until every task of the run is ready; return the run's strategy.

    Raises:
        GaveUp: A task did not start within the start timeout.

    """
    name = context.record.strategy
    context.set_waiting(True, "waiting for the other tasks")
    if name in DISTRIBUTED:
        if not context.group:  # its decision replaces the barrier
            context.absent = rendezvous.wait_for_peers(context)
        with start_limit(context):
            strategy = strategies.make(name, absent=context.absent)
    else:
        strategies.split_cpu(context.env.logical_cpus)
        strategy = strategies.make(name)
    context.stop.take_over()
    if context.group and context.lease:
        context.lease.check()  # TensorFlow blocked its renewal, so another group may have formed
    context.set_waiting(False)
    context.connected = time.monotonic()
    replicas = strategy.num_replicas_in_sync
    context.set_replicas(replicas)
    log.info("%s with %d %s in sync", name, replicas, "replica" if replicas == 1 else "replicas")
    return strategy


def _train(context: Context, task: Task, strategy: Strategy) -> Trained:
    settings = context.record.trainer
    workers = len(context.cluster.tasks.get("worker", ()))
    shares = strategy.num_replicas_in_sync // workers if context.group else None
    state = build(task, strategy, settings, shares=shares)
    if context.parameter_server:
        make_iterations_atomic(state.optimizer)
    saver = Checkpoints(
        context.run_dir.checkpoints,
        keep=settings.keep_checkpoints,
        writer=context.writes,
        on_chief=context.parameter_server,
        together=context.record.strategy == "MultiWorkerMirrored",
        step=state.step,
        model=state.model,
        optimizer=state.optimizer,
        **untracked.saved(state.optimizer, state.model),
        **averages.saved(state.optimizer, state.model),
        **replicated.saved(state.model, state.unseeded),
    )
    consensus = Consensus(strategy, workers) if context.record.strategy == "MultiWorkerMirrored" else None
    finite = FiniteCheck(strategy, state, consensus)
    checkpointing.restore(context, saver, consensus, finite)
    copies = replicated.Copies(strategy, state.model, state.unseeded)
    runner = _step_runner(context, task, strategy, state, consensus)
    # After the pipelines were built, because they set TensorFlow's global seed.
    copies.draw_apart(seed=settings.seed, step=int(state.step.numpy()))
    guard = Guard(not_finite=finite, lost=runner.lost, scale=scale_of(state), newest=saver.newest_step)
    progress = Progress(
        record=context.record,
        run_dir=context.run_dir,
        state=state,
        status=context.status,
        hyperparameters=task.hp,
        tasks=max(1, workers),
        waited=runner.waited,
        traced=lambda: context.note_startup("traceSeconds", time.monotonic() - context.connected),
    )
    _kept.extend((strategy, state, saver, runner))

    context.stop.hold(context.hold_seconds)
    decide: StepDecision = consensus.step_decision if consensus else alone
    stops_early = context.writes and settings.early_stopping is not None
    preemption = _handle_preemption(context)
    step = Loop(
        settings=settings,
        runner=runner,
        progress=progress,
        check=guard.segment,
        save=checkpointing.save_function(context, saver, copies, guard.weights),
        stop_requested=context.stop.is_set,
        preemption=preemption,
        end_requested=EarlyStop(context.run_dir) if stops_early else never,
        membership=elastic.Growth(context, context.group) if context.group else Fixed(),
        decide=decide,
        sizer=SegmentSizer(first=workers if context.parameter_server else 1),
    ).run()
    progress.end()
    last = CheckpointRef(step, os.path.join(saver.directory, f"ckpt-{step}"))  # noqa: PTH118 - may be a URL
    return Trained(last, progress.rate.overall)


def _step_runner(
    context: Context, task: Task, strategy: Strategy, state: TrainState, consensus: Consensus | None
) -> StepRunner:
    settings, replicas = context.record.trainer, strategy.num_replicas_in_sync
    step = replica_step(
        task,
        state,
        global_batch=settings.batch_size,
        replicas=replicas,
        jit_compile=settings.jit_compile,
    )
    pipeline = pipeline_function(
        task,
        settings,
        replicas=replicas,
        data_dir=context.env.data_dir,
        seed=None if context.parameter_server else settings.seed,
        step=int(state.step.numpy()),
    )
    if context.parameter_server:
        # A worker builds the data in a graph, which hides their cardinality.
        _note_kind(context, pipeline(tf.distribute.InputContext()), state)
        addresses = list(context.cluster.peers("worker").values())
        workers = recovery.Members(addresses, absent=context.absent, changed=context.note_workers)
        context.note_workers(workers.there)
        return ParameterServerStepRunner(strategy, state, step, pipeline, workers)
    local: list[Dataset] = []

    def noted(part: tf.distribute.InputContext) -> Dataset:
        local.append(pipeline(part))
        return local[-1]

    data = strategy.distribute_datasets_from_function(noted)
    if consensus:
        even = settings.batch_size % replicas == 0
        batches.require_same_spec(local[0].element_spec, consensus.all_equal, sizes=even)
    _note_kind(context, local[0], state)
    return SyncStepRunner(strategy, state, step, data)


def _note_kind(context: Context, data: Dataset, state: TrainState) -> None:
    """Write to status.json of which kind the training data are, and refuse another kind than that of a checkpoint."""
    if status := context.status:
        kind = batches.kind_of(data.element_spec)
        if int(state.step.numpy()):
            batches.require_same_kind(kind, status["data"])
        status.note(data=kind)


def _end(context: Context, task: Task, trained: Trained) -> str:
    """Evaluate and export the last checkpoint and write DONE; return the exit message.

    A task that does not write the run directory only waits until its peers have received its last data.
    """
    context.stop.release()
    if not context.writes:
        # The peers may still receive this task's part of the last all-reduce.
        time.sleep(_LAST_REDUCE_SECONDS)
        if context.group:
            elastic.wait_for_done(context)
        return "trained to the last step"
    run_dir, status = context.run_dir, context.status
    last = _evaluation(context, task)
    try:
        last.restore(trained.found)
    except DamagedError as error:
        checkpointing.leave_out_damaged(context, trained.found, error, together=True)
    metrics = retry.call(last.run, "the evaluation")
    log.info("evaluation at step %d: %s", trained.found.step, describe(metrics))
    if metrics and not context.record.evaluators:
        EvalSummaryWriter(run_dir).add(trained.found.step, metrics)
    path = retry.call(lambda: export.export(run_dir, last.model, last.signature()), "the export")
    context.write_done(step=trained.found.step, metrics=metrics, steps_per_second=trained.steps_per_second, export=path)
    if status:
        status.note(step=trained.found.step, metrics=metrics, etaSeconds=0)
    return f"done at step {trained.found.step}: {describe(metrics)}"
