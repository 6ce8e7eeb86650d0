"""Restore the newest checkpoint, set damaged checkpoints aside, and save new ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import tensorflow as tf

from trainer.engine.consensus import Consensus
from trainer.engine.replicated import Copies
from trainer.roles.context import Context
from trainer.runtime import errors
from trainer.runtime.errors import ConfigError, LostPeer
from trainer.runtime.logs import log
from trainer.storage import checkpoints
from trainer.storage.checkpoints import CheckpointRef, Checkpoints, DamagedError


def restore(context: Context, saver: Checkpoints, consensus: Consensus | None) -> None:
    """Restore the run's newest checkpoint, or warm-start from the run that `warmStartFrom` names.

    A warm start copies the weights and the state of the optimizer, including its iterations. The step starts at 0.

    Args:
        context: The task that restores.
        saver: Reads the checkpoint into the model, the optimizer and the step.
        consensus: Makes all workers restore the same checkpoint; None if one task restores alone.

    Raises:
        ConfigError: The run that `warmStartFrom` names has no checkpoint.
        LostPeer: A checkpoint is damaged, and all workers must restore an earlier one.

    """
    directory = context.run_dir.checkpoints
    if context.writes:
        for step in checkpoints.incomplete(directory):
            log.info("checkpoint %d is incomplete and is ignored", step)
        checkpoints.remove_partial(directory)
    while True:
        found = checkpoints.newest_complete(directory)
        if consensus:
            found = consensus.same_checkpoint(directory, found, decides=context.writes)
        if not found:
            break
        try:
            saver.restore(found.path)
        except DamagedError as error:
            leave_out_damaged(context, found, error, together=consensus is not None)
            continue
        log.info("resuming from %s", found.path)
        return
    if other := context.record.warm_start_from:
        directory = context.run_dir.sibling_checkpoints(other)
        found = checkpoints.newest_complete(directory)
        if not found:
            raise ConfigError(
                "warmStartFrom",
                got=other,
                expected=f"a run that has a checkpoint in {directory}",
                fix="Set warmStartFrom to a run with a checkpoint",
            )
        saver.restore_parts(found.path, "model", "optimizer")
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


def save_function(context: Context, saver: Checkpoints, copies: Copies) -> Callable[[int], None]:
    """Return the function that saves the checkpoint of a step.

    It first brings together what the replicas hold in `copies`, which is a collective operation. A storage that is full
    for a while does not end the training.
    """

    def save(step: int) -> None:
        started = time.monotonic()
        copies.bring_together()
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
            context.status.update(step=step, lastCheckpoint={"step": step, "path": found.path})

    return save
