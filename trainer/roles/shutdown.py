"""The end of a process: write status.json, notify the other tasks, and exit with the code of the error."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final, NoReturn

from trainer.roles import restart
from trainer.roles.context import Context
from trainer.runtime import errors, exit_codes
from trainer.runtime.errors import TrainerExit
from trainer.runtime.logs import log, show
from trainer.runtime.process import leave
from trainer.storage import termination_log

_LINGER: Final = {exit_codes.DONE: 3.0, exit_codes.STOPPED: 1.0}
_LINGER_AFTER_FAILURE: Final = 15.0
_STATES: Final = {exit_codes.DONE: "done", exit_codes.RETRYABLE: "interrupted", exit_codes.STOPPED: "interrupted"}
_once = threading.Lock()


def finish(context: Context, error: BaseException | None, words: str = "") -> NoReturn:
    """End this process.

    Args:
        context: The task that ends.
        error: The error that ended the task; None after success.
        words: The exit message after success.

    """
    if not _once.acquire(blocking=False):
        # Another thread is already ending the process.
        while True:
            time.sleep(60)
    reported = errors.from_peer(error) if error is not None else None
    error = reported or error
    code = exit_codes.DONE if error is None else errors.code_for(error)
    message = words if error is None else errors.summary(error)
    if error is not None and code == exit_codes.FAILED and reported is None:
        if (cause := error.__cause__ if isinstance(error, TrainerExit) else error) is not None:
            show(cause)
        _notify_workers(context, message)
    if isinstance(error, errors.LostLease):
        _leave_run_directory(context, code, message)
    if code == exit_codes.RETRYABLE:
        _restart_in_place(context, error, message)
    if context.status:
        context.status.stop_heartbeat()
        context.status.update(state=_STATES.get(code, "failed"), exitCode=code, message=message)
    details = {"step": context.status["step"], "metrics": context.status["metrics"]} if context.status else {}
    if context.lease:
        context.lease.give_back()
    termination_log.write(context.env.termination_log, code, message, details)
    if context.parameter_server and context.cluster.role == "chief" and code != exit_codes.RETRYABLE:
        _notify_servers(context, code)
    leave(code, message)


def _leave_run_directory(context: Context, code: int, message: str) -> None:
    """Exit with `code`, because another chief owns the run directory now; a worker of an elastic run joins that one."""
    if not context.elastic:
        leave(code, message)
    if context.status:
        context.status.stop_heartbeat()
    if context.lease:
        context.lease.pause()
    context.status = context.lease = None


def _notify_servers(context: Context, code: int) -> None:
    """Send the exit code to every ps and worker.

    After success the servers also find DONE in the run directory, so the chief waits only briefly for their answers.
    """
    tasks = context.cluster.peers("ps", "worker")
    if not tasks:
        return
    from trainer.peers import control_queue

    control_queue.broadcast_exit(code, tasks, _LINGER.get(code, _LINGER_AFTER_FAILURE))


def _notify_workers(context: Context, message: str) -> None:
    """Report a failure to the other workers of a MultiWorkerMirrored run, so that they fail instead of restarting."""
    if context.cluster.role != "worker" or context.parameter_server or "tensorflow" not in sys.modules:
        return
    try:
        from tensorflow.python.eager import context as eager

        text = f"{errors.TASK_FAILED_MARK}: {context.name}: {message}"
        eager.context().report_error_to_cluster(1, text)
        time.sleep(1.0)
    except Exception as error:  # noqa: BLE001, RUF100 - a private function, whose failure only costs restarts
        log.info("cannot notify the other workers: %s", errors.summary(error))


def _newest_step(context: Context) -> int:
    """Return the step of the newest checkpoint; -1 if there is none, or if the storage cannot be read."""
    from trainer.storage.checkpoints import newest_complete

    try:
        found = newest_complete(context.run_dir.checkpoints)
    except Exception as error:  # noqa: BLE001, RUF100 - gfile has its own error classes
        log.info("cannot read the checkpoints: %s", errors.summary(error))
        return -1
    return found.step if found else -1


def _restart_in_place(context: Context, error: BaseException | None, message: str) -> None:
    """Restart in place, unless the limit of in-place restarts is reached.

    Args:
        context: The task that restarts.
        error: The error that ended it.
        message: The reason.

    """
    counted = not isinstance(error, errors.GroupChange | errors.CutOff | errors.LostLease)
    serves = context.is_server and not isinstance(error, errors.CutOff)
    if serves or context.is_evaluator or context.stop.is_set():
        return
    limit = context.env.max_in_place_restarts
    if context.waiting:
        state: restart.InPlaceRestartState | None = context.restarts.while_waiting(time.time())
    elif not counted:
        state = context.restarts.after_change()
    else:
        state = context.restarts.after_lost_peer(checkpoint=_newest_step(context), limit=limit)
    if state is None:
        log.info("no in-place restarts left: %d in a row without a new checkpoint", limit)
        return
    if counted:
        log.info("in-place restart %d of %d: %s", state.count, limit, message)
    else:
        log.info("in-place restart%s: %s", "" if context.is_server else " with another group", message)
    if context.status:
        state_name = "starting" if context.waiting else "running"
        context.status.stop_heartbeat()
        context.status.update(state=state_name, message=f"in-place restart: {message}")
    context.stop.wait(state.pause if counted else 0)
    if not context.stop.is_set():
        if context.lease:
            context.lease.pause()
        if context.group:
            os.environ["TF_CONFIG"] = context.group.tf_config
        restart.restart(state, context.directory)
