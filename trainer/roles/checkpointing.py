"""Which checkpoint a training continues from, and what happens when one cannot be saved or read."""

from __future__ import annotations

import time
from collections.abc import Callable

import tensorflow as tf

from trainer.engine.consensus import Consensus
from trainer.roles.context import Context
from trainer.runtime import errors
from trainer.runtime.errors import ConfigError, LostPeer
from trainer.runtime.logs import log
from trainer.storage import checkpoints
from trainer.storage.checkpoints import CheckpointRef, Checkpoints, DamagedError


def restore(context: Context, saver: Checkpoints, consensus: Consensus | None) -> None:
    """Continue from the run's newest checkpoint, else from the run that `warmStartFrom` names.

    From another run come the weights and the optimizer's state, its iterations too; the step starts at 0.
    """
    directory = context.run_dir.checkpoints
    if context.writes:
        for step in checkpoints.incomplete(directory):
            log.info("checkpoint %d is not complete: leaving it out", step)
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
        log.info("continuing from %s", found.path)
        return
    if other := context.record.warm_start_from:
        directory = context.run_dir.sibling_checkpoints(other)
        found = checkpoints.newest_complete(directory)
        if not found:
            raise ConfigError(
                f"warmStartFrom: got {other!r}: there is no checkpoint in {directory}: "
                "set it to a run with a checkpoint in the same storage"
            )
        saver.restore_parts(found.path, "model", "optimizer")
        log.info("starting from the weights and the optimizer of %s", found.path)


def leave_out_damaged(context: Context, found: CheckpointRef, error: DamagedError, *, together: bool) -> None:
    """Have nobody use the checkpoint `found` again; then the one before may be restored.

    Raises:
        LostPeer: all tasks have to go back `together`: the others may have read the checkpoint before.

    """
    if context.writes:
        checkpoints.set_aside(found)
    message = f"checkpoint {found.step} is damaged: going back to the one before"
    log.info("%s (%s)", message, error)
    if together:
        raise LostPeer(message)


def save_function(context: Context, saver: Checkpoints) -> Callable[[int], None]:
    """Return the function that saves the checkpoint of a step, and gets over a storage that is full for a while."""

    def save(step: int) -> None:
        started = time.monotonic()
        if context.lease:
            context.lease.check()
        try:
            found = saver.save(step)
        except (tf.errors.OpError, OSError) as error:
            if not errors.is_storage_full(error) or step >= context.record.trainer.steps or context.stop.is_set():
                raise
            # Nothing is lost yet, and the next checkpoint may find room again.
            log.info("can't save checkpoint %d, training goes on: %s", step, errors.summary(error))
            checkpoints.remove_partial(saver.directory)
            return
        if context.status:
            log.info("saved checkpoint %d in %.1f s", step, time.monotonic() - started)
            context.status.update(step=step, lastCheckpoint={"step": step, "path": found.path})

    return save
