"""Read the environment, and run the role of this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from trainer.roles import elastic, restart
from trainer.roles.context import Context
from trainer.roles.shutdown import finish
from trainer.runtime import config, tf_config
from trainer.runtime.errors import ConfigError, Stopped, TrainerExit
from trainer.runtime.notices import without_notices
from trainer.runtime.process import leave
from trainer.runtime.serialize import now
from trainer.runtime.signals import StopSignal
from trainer.storage.run_dir import RunDir


def main(script: Sequence[str], env: Mapping[str, str], stop: StopSignal) -> NoReturn:
    """Run the role of this process, then end the process.

    Args:
        script: A custom script and its arguments; empty for the `Task` class in the run record.
        env: The environment variables.
        stop: The flag that SIGTERM sets.

    """
    try:
        context = read_context(script, env, stop)
    except TrainerExit as error:
        leave(error.code, str(error))
    # Before training starts there is nothing to save, so SIGTERM ends the process immediately.
    stop.on_stop(lambda: finish(context, Stopped("received SIGTERM")))
    try:
        words = play(context)
    except BaseException as error:  # noqa: BLE001, RUF100 - the exit message must contain every error
        finish(context, error)
    finish(context, None, words)


def read_context(script: Sequence[str], env: Mapping[str, str], stop: StopSignal) -> Context:
    """Return the context of the task that the variables `env` describe.

    Raises:
        ConfigError: A variable or the run record is invalid.

    """
    this = tf_config.parse(env.get("TF_CONFIG"))
    runtime_env, record = config.load_runtime_env(env), config.load_record(env)
    _check_role(this, record.strategy)
    _check_min_workers(this, runtime_env.min_workers)
    return Context(
        cluster=this,
        env=runtime_env,
        record=record,
        run_dir=RunDir(runtime_env.run_dir, record),
        stop=stop,
        restarts=restart.load(env),
        started=now(),
        script=tuple(script),
        directory=str(Path.cwd()),
    )


def _check_role(this: tf_config.Cluster, strategy: str) -> None:
    needs = {"ParameterServer": ("chief", "ps", "worker"), "MultiWorkerMirrored": ("worker",)}.get(strategy, ())
    for role in needs:
        if not this.tasks.get(role):
            raise ConfigError(
                "TF_CONFIG.cluster",
                got=sorted(this.tasks),
                expected=f"at least one {role} for {strategy}",
                fix=f"Set {role}.replicas",
            )


def _check_min_workers(this: tf_config.Cluster, least: int) -> None:
    most = len(this.tasks.get("worker", ()))
    if most < least:
        raise ConfigError(
            "TRAINER_MIN_WORKERS",
            got=least,
            expected=f"at most {most}, the number of workers",
            fix=f"Set TRAINER_MIN_WORKERS={most}",
        )


def play(context: Context) -> str:
    """Run the role of this process; return the exit message of a successful end.

    Raises:
        TrainerExit: The role ended with an exit code other than 0.

    """
    if context.run_dir.done() is not None:
        return f"{context.record.run} was done already, see {context.run_dir.at('DONE')}"
    context.run_dir.check()
    elastic.announce(context)
    if context.env.gpus or not context.script:  # a custom script may configure TensorFlow before the import
        _import_tensorflow(context)
    if context.is_server:
        return _serve(context)
    if context.is_evaluator:
        from trainer.roles import evaluator

        return evaluator.run(context)
    if context.script:
        from trainer.roles import script

        return script.run(context)
    from trainer.roles import train

    return train.run(context)


def _import_tensorflow(context: Context) -> None:
    """Import TensorFlow, record the seconds that it took, and check that the requested GPUs exist."""
    started = time.monotonic()
    # The modules live as long as the process. So no garbage collection, now or later, needs to look at their objects,
    # of which there are 300,000.
    gc.disable()
    with without_notices():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401

    gc.freeze()
    gc.enable()
    context.note_startup("importSeconds", time.monotonic() - started)
    from trainer.runtime import devices

    devices.check(context.env)


def _serve(context: Context) -> str:
    from trainer.roles import server
    from trainer.roles.start_limit import start_limit

    this, env = context.cluster, context.env
    # After SIGTERM a server keeps running, because the chief needs it to save a checkpoint.
    context.stop.hold(float(env.grace_period))
    monitor = server.ChiefMonitor(
        start_timeout=env.start_timeout,
        orphan_timeout=env.orphan_timeout,
        grace_period=env.grace_period,
        probe=server.chief_probe(this.chief_address),
        ended=server.run_ended(context.run_dir, context.started),
        # The variables are in the memory of a ps, which therefore stays.
        hosts=server.chief_hosts(this.chief_address) if this.role == "worker" else None,
    )
    tasks = {role: list(addresses) for role, addresses in this.tasks.items()}
    limit = start_limit(context)
    return server.serve(tasks, this.role, this.index, limit=limit, watch=monitor, stop=context.stop)
