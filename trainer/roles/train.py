"""Training a task: everything between the parsed configuration and the exit code."""

from __future__ import annotations

import faulthandler
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import keras

from trainer.engine import evaluation
from trainer.engine import strategy as strategies
from trainer.engine.consensus import Agreement
from trainer.engine.early_stopping import EarlyStop
from trainer.engine.input_wait import InputWait
from trainer.engine.loop import Agree, Loop, Pace, alone, never
from trainer.engine.progress import Progress
from trainer.engine.steps import (
    ParameterServerStepper,
    Stepper,
    SyncStepper,
    Trainee,
    build,
    make_iterations_atomic,
    pipeline_function,
    replica_step,
)
from trainer.peers.health import ServerWatch
from trainer.peers.preemption import Drain
from trainer.peers.watchdog import Duty, Guard
from trainer.roles import checkpointing, rendezvous
from trainer.roles.context import Context
from trainer.roles.shutdown import finish
from trainer.runtime.config import DISTRIBUTED
from trainer.runtime.errors import TrainerExit
from trainer.runtime.logs import describe, log, style
from trainer.runtime.types import Strategy
from trainer.storage import checkpoints
from trainer.storage.checkpoints import Checkpoints, DamagedError, Found
from trainer.task import Task, load

_LAST_WORDS_SECONDS: Final = 0.5
_kept: list[object] = []
"""What must live until the process ends: dropping a strategy takes seconds."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What the loop leaves behind."""

    found: Found
    """The last checkpoint."""
    steps_per_second: float | None
    """None when nothing was left to train."""


def run(context: Context) -> str:
    """Train the run's task to its last step, evaluate and export it; return the last words.

    Raises:
        TrainerExit: the run ended otherwise than done.

    """
    context.claim(on_lost=lambda error: finish(context, error))
    last = checkpoints.newest_complete(context.run_dir.checkpoints)
    if last is not None and last.step >= last_step(context):
        # Trained, but not finished. The peers may be gone for good, and are not needed.
        log.info("step %d was the last one: nothing left to train", last.step)
        return _end(context, _prepare(context), Trained(last, None))
    strategy = connect(context)
    with _servers_watched(context):
        task = _prepare(context)
        return _end(context, task, _train(context, task, strategy))


def last_step(context: Context) -> int:
    """Return the step after which there is nothing left to train."""
    steps = context.record.trainer.steps
    stop = context.run_dir.early_stop() if context.record.trainer.early_stopping else None
    return min(steps, int(stop["step"])) if stop else steps


@contextmanager
def _servers_watched(context: Context) -> Iterator[None]:
    """Watch the servers of a ParameterServer run meanwhile."""
    if not context.parameter_server:
        yield
        return
    cluster, settings = context.cluster, context.settings
    servers = cluster.peers("ps", "worker")
    guard = Guard(
        Duty(task=cluster.name, servers=servers, log_format=style(), termination_log=settings.termination_log)
    )

    def end(error: TrainerExit) -> None:
        guard.close()
        finish(context, error)

    watch = ServerWatch(cluster.peers("ps"), cluster.peers("worker"), orphan_timeout=settings.orphan_timeout)
    stop = watch.start(end, guard.beat)
    try:
        yield
    finally:
        stop()
        guard.close()


def _drain(context: Context) -> Drain | None:
    if not context.parameter_server:
        return None
    cluster = context.cluster
    drain = Drain(cluster.peers("ps"), cluster.peers("worker"), told_to_stop=context.stop.is_set)
    drain.start()
    return drain


def _prepare(context: Context) -> Task:
    settings = context.record.trainer
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    return load(settings.task, settings.hyperparameters, settings)


def connect(context: Context) -> Strategy:
    """Return the run's strategy once every task of the run is there.

    Raises:
        GaveUp: some did not come in time.

    """
    name = context.record.strategy
    context.waits(True, "waiting for the other tasks")
    if name in DISTRIBUTED:
        rendezvous.wait_for_peers(context)
        # A peer that dies right now for good would block TensorFlow for ever, and Python with it.
        faulthandler.dump_traceback_later(context.settings.start_timeout, exit=True)
    else:
        strategies.split_cpu(context.settings.logical_cpus)
    strategy = strategies.make(name)
    faulthandler.cancel_dump_traceback_later()
    context.stop.take_over()
    context.waits(False)
    context.connected = time.monotonic()
    log.info("%s with %d replicas in sync", name, strategy.num_replicas_in_sync)
    return strategy


def _train(context: Context, task: Task, strategy: Strategy) -> Trained:
    settings = context.record.trainer
    trainee = build(task, strategy, settings)
    parameter_server = context.parameter_server
    if parameter_server:
        make_iterations_atomic(trainee.optimizer)
    saver = Checkpoints(
        context.run_dir.checkpoints,
        keep=settings.keep_checkpoints,
        writer=context.writes,
        on_chief=parameter_server,
        step=trainee.step,
        model=trainee.model,
        optimizer=trainee.optimizer,
    )
    workers = len(context.cluster.tasks.get("worker", ()))
    agreement = Agreement(strategy, workers) if context.record.strategy == "MultiWorkerMirrored" else None
    checkpointing.restore(context, saver, agreement)
    stepper = _stepper(context, task, strategy, trainee)
    progress = Progress(
        record=context.record,
        run_dir=context.run_dir,
        trainee=trainee,
        status=context.status,
        hyperparameters=task.hp,
        tasks=max(1, workers),
        traced=lambda: context.note_startup("traceSeconds", time.monotonic() - context.connected),
    )
    _kept.extend((strategy, trainee, saver, stepper))

    context.stop.hold(context.hold_seconds)
    agree: Agree = agreement.agree if agreement else alone
    stops_early = context.writes and settings.early_stopping is not None
    drain = _drain(context)
    step = Loop(
        settings=settings,
        stepper=stepper,
        progress=InputWait(progress, stepper, context.status),
        save=checkpointing.save_function(context, saver),
        told_to_stop=context.stop.is_set,
        drain=drain,
        told_to_end=EarlyStop(context.run_dir) if stops_early else never,
        agree=agree,
        pace=Pace(first=workers if parameter_server else 1),
    ).run()
    progress.end()
    last = Found(step, os.path.join(saver.directory, f"ckpt-{step}"))  # noqa: PTH118 - may be a URL
    return Trained(last, progress.rate.overall)


def _stepper(context: Context, task: Task, strategy: Strategy, trainee: Trainee) -> Stepper:
    settings, replicas = context.record.trainer, strategy.num_replicas_in_sync
    step = replica_step(
        task,
        trainee,
        global_batch=settings.batch_size,
        replicas=replicas,
        jit_compile=settings.jit_compile,
    )
    # After a restart the order must differ, or the first examples would be seen again and the last ones never.
    seed = None if context.parameter_server else settings.seed + int(trainee.step.numpy())
    pipeline = pipeline_function(task, settings, replicas=replicas, data_dir=context.settings.data_dir, seed=seed)
    if context.parameter_server:
        return ParameterServerStepper(strategy, trainee, step, pipeline)
    return SyncStepper(strategy, trainee, step, strategy.distribute_datasets_from_function(pipeline))


def _end(context: Context, task: Task, trained: Trained) -> str:
    """Evaluate and export the last checkpoint and write DONE, if that is this task's work; return the last words."""
    context.stop.release()
    if not context.writes:
        # The others may still be receiving this task's part of the last all-reduce.
        time.sleep(_LAST_WORDS_SECONDS)
        return "trained to the last step"
    settings, run_dir, status = context.record.trainer, context.run_dir, context.status
    last = evaluation.Evaluation(task, batch_size=settings.batch_size, data_dir=context.settings.data_dir)
    try:
        last.restore(trained.found)
    except DamagedError as error:
        checkpointing.leave_out_damaged(context, trained.found, error, together=True)
    metrics = last.run()
    log.info("held-out data at step %d: %s", trained.found.step, describe(metrics))
    if metrics and not context.record.evaluators:
        evaluation.Curves(run_dir).add(trained.found.step, metrics)
    path = evaluation.export(run_dir, task, last.model)
    context.write_done(step=trained.found.step, metrics=metrics, steps_per_second=trained.steps_per_second, export=path)
    if status:
        status.note(step=trained.found.step, metrics=metrics, etaSeconds=0)
    return f"done at step {trained.found.step}: {describe(metrics)}"
