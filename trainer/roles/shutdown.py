"""The end of a process: from an exception, or none, to status.json, a word to the others, and the exit code."""

from __future__ import annotations

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
    """End the process after `error`, or done with the last `words`."""
    if not _once.acquire(blocking=False):
        # Another thread ends the process already.
        while True:
            time.sleep(60)
    if error is not None:
        error = errors.from_peer(error) or error
    code = exit_codes.DONE if error is None else errors.code_for(error)
    message = words if error is None else errors.summary(error)
    if error is not None and code == exit_codes.FAILED and not isinstance(error, TrainerExit):
        show(error)
        _tell_workers(context, message)
    if isinstance(error, errors.LostLease):
        leave(code, message)  # nothing here is this task's business any more
    if code == exit_codes.RETRYABLE:
        _restart_in_place(context, message)
    if context.status:
        context.status.stop_heartbeat()
        context.status.update(state=_STATES.get(code, "failed"), exitCode=code, message=message)
    details = {"step": context.status["step"], "metrics": context.status["metrics"]} if context.status else {}
    if context.lease:
        context.lease.give_back()
    termination_log.write(context.env.termination_log, code, message, details)
    if context.parameter_server and context.cluster.role == "chief" and code != exit_codes.RETRYABLE:
        _tell_servers(context, code)
    leave(code, message)


def _tell_servers(context: Context, code: int) -> None:
    """Tell every ps and worker to leave; after a success they also find DONE, so nobody is waited for long."""
    tasks = context.cluster.peers("ps", "worker")
    if not tasks:
        return
    from trainer.peers import control_queue

    control_queue.broadcast_exit(code, tasks, _LINGER.get(code, _LINGER_AFTER_FAILURE))


def _tell_workers(context: Context, message: str) -> None:
    """Tell the other workers of a MultiWorkerMirrored run that there is no next attempt, so that none waits for one."""
    if context.record.strategy != "MultiWorkerMirrored" or "tensorflow" not in sys.modules:
        return
    try:
        from tensorflow.python.eager import context as eager

        text = f"{errors.TASK_FAILED_MARK}: {context.cluster.name}: {message}"
        eager.context().report_error_to_cluster(1, text)
        time.sleep(1.0)
    except Exception as error:  # noqa: BLE001, RUF100 - not a public function; without it the peers just try again
        log.info("could not tell the other workers: %s", str(error).splitlines()[0])


def _restart_in_place(context: Context, message: str) -> None:
    """Execute this program anew, unless that happened too often."""
    if context.is_server or context.is_evaluator or context.stop.is_set():
        return
    from trainer.storage.checkpoints import newest_complete

    found = newest_complete(context.run_dir.checkpoints)
    limit = context.env.max_in_place_restarts
    if context.waiting:
        state: restart.InPlaceRestartState | None = context.restarts.while_waiting(time.time())
    else:
        state = context.restarts.after_lost_peer(checkpoint=found.step if found else -1, limit=limit)
    if state is None:
        log.info("restarts in place are used up: %d in a row without a new checkpoint", limit)
        return
    log.info("restarting in place, attempt %d of %d: %s", state.count, limit, message)
    if context.status:
        state_name = "starting" if context.waiting else "running"
        context.status.stop_heartbeat()
        context.status.update(state=state_name, message=f"restarting in place: {message}")
    context.stop.wait(state.pause)
    if not context.stop.is_set():
        if context.lease:
            context.lease.pause()
        restart.restart(state, context.directory)
