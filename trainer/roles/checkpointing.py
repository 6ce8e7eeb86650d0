"""Restore the newest checkpoint, set damaged checkpoints aside, and save new ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import tensorflow as tf

from trainer.engine import untracked, warm_start
from trainer.engine.consensus import Consensus
from trainer.engine.finite import FiniteCheck
from trainer.engine.replicated import Copies
from trainer.roles.context import Context
from trainer.runtime import errors
from trainer.runtime.errors import ConfigError, LostPeer, Words
from trainer.runtime.logs import log
from trainer.runtime.serialize import now
from trainer.storage import checkpoints
from trainer.storage.checkpoints import CheckpointRef, Checkpoints, DamagedError


def restore(context: Context, saver: Checkpoints, consensus: Consensus | None, finite: FiniteCheck) -> None:
    """Restore the run's newest checkpoint, or warm-start from the run that `warmStartFrom` names.

    Args:
        context: The task that restores.
        saver: Reads the checkpoint into the model, the optimizer and the step.
        consensus: Makes all workers restore the same checkpoint; None if one task restores alone.
        finite: Finds the restored variables that are not finite.

    Raises:
        ConfigError: The run that `warmStartFrom` names has no checkpoint that fits.
        LostPeer: A checkpoint is damaged, and all workers must restore an earlier one.

    """
    directory = context.run_dir.checkpoints
    if context.writes:
        for step in checkpoints.incomplete(directory):
            log.info("checkpoint %d is incomplete and is ignored", step)
        checkpoints.remove_partial(directory)
    damaged = False
    while found := _newest(context, directory, consensus):
        try:
            saver.restore(found.path)
            _require(finite)
        except DamagedError as error:
            damaged = True
            leave_out_damaged(context, found, error, together=consensus is not None)
            continue
        log.info("resuming from %s", found.path)
        return
    if damaged:  # A new process builds the model again.
        raise LostPeer("no checkpoint is left, and a part of the damaged one is restored: starting again")
    if context.record.warm_start_from:
        _warm_start(context, saver, consensus, finite)


def _newest(context: Context, directory: str, consensus: Consensus | None) -> CheckpointRef | None:
    """Return the newest checkpoint in `directory`, the same one for all workers."""
    found = checkpoints.newest_complete(directory)
    return consensus.same_checkpoint(directory, found, decides=context.writes) if consensus else found


def _require(finite: FiniteCheck) -> None:
    if names := finite():
        raise DamagedError(f"{names[0]} is not finite")


def _warm_start(context: Context, saver: Checkpoints, consensus: Consensus | None, finite: FiniteCheck) -> None:
    """Restore weights and optimizer of the newest checkpoint of the run that `warmStartFrom` names.

    Raises:
        ConfigError: It has no checkpoint, or the checkpoint does not fit.

    """
    other, settings = str(context.record.warm_start_from), context.record.trainer
    directory = context.run_dir.sibling_checkpoints(other)
    found = _newest(context, directory, consensus)
    if not found:
        raise ConfigError(
            "warmStartFrom",
            got=other,
            expected=f"a run that has a checkpoint in {directory}",
            fix="Set warmStartFrom to a run with a checkpoint",
        )
    keep = settings.warm_start_iterations == "keep"
    if keep and found.step >= settings.steps:
        raise ConfigError(
            "trainer.steps",
            got=settings.steps,
            expected=f"more than the {found.step} steps of {other}, because trainer.warmStartIterations is keep",
            fix="Raise trainer.steps, or set trainer.warmStartIterations: reset",
        )
    optimizer = saver.parts["optimizer"]
    try:
        with warm_start.own_rate(optimizer):
            counters = {"step": saver.parts["step"]} if keep else {}
            part = warm_start.part_of(found.path, optimizer)
            others = {name: saver.parts[name] for name in untracked.PARTS if name in saver.parts}
            saver.restore_parts(found.path, model=saver.parts["model"], optimizer=part, **others, **counters)
        _require(finite)
    except (AssertionError, ValueError, DamagedError) as error:
        raise ConfigError(
            "warmStartFrom",
            got=Words(f'"{other}", whose checkpoint {found.step} does not fit ({errors.summary(error)})'),
            expected="a run with the same model and the same optimizer",
            fix="Set warmStartFrom to such a run, or remove it",
        ) from error
    if not keep:
        warm_start.begin_again(optimizer)
    log.info("warm start: weights and optimizer state of %s", found.path)


def leave_out_damaged(context: Context, found: CheckpointRef, error: DamagedError, *, together: bool) -> None:
    """Set the damaged checkpoint `found` aside, so that the previous checkpoint becomes the newest.

    Args:
        context: The task that read the checkpoint; only the task that writes the run directory moves files.
        found: The damaged checkpoint.
        error: The reason why it is damaged.
        together: Whether all tasks must restart, because another task may have restored `found` already.

    Raises:
        LostPeer: `together` is true.

    """
    if context.writes:
        checkpoints.set_aside(found)
    message = f"checkpoint {found.step} is damaged: restoring the previous one"
    log.info("%s (%s)", message, error)
    if together:
        raise LostPeer(message)


def save_function(
    context: Context, saver: Checkpoints, copies: Copies, check: Callable[[int], None]
) -> Callable[[int], None]:
    """Return the function that saves the checkpoint of a step.

    It first brings together what the replicas hold in `copies`, which is a collective operation. Then it calls `check`,
    which raises an error if the weights are not finite. So the newest checkpoint is always finite. A storage that is
    full for a while does not end the training.
    """
    saver.prepare()

    def save(step: int) -> None:
        started = time.monotonic()
        copies.bring_together()
        check(step)
        try:
            if context.lease:
                context.lease.check()
            found = saver.save(step)
        except (tf.errors.OpError, OSError) as error:
            passes = errors.is_storage_full(error) or errors.is_storage_failure(error)
            if not passes or step >= context.record.trainer.steps or context.stop.is_set():
                raise
            # The older checkpoints remain, and the storage may work and have space for the next checkpoint.
            log.info("cannot save checkpoint %d; training continues: %s", step, errors.summary(error))
            with suppress(tf.errors.OpError, OSError):
                checkpoints.remove_partial(saver.directory)
            return
        if context.status:
            log.info("saved checkpoint %d in %.1f s", step, time.monotonic() - started)
            context.status.update(step=step, lastCheckpoint={"step": step, "path": found.path, "time": now()})

    return save
