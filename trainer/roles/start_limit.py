"""The time limit of a start that TensorFlow blocks: the start timeout, or a minute for a group of an elastic run.

TensorFlow waits for the other tasks without a limit, and mostly holds Python's global interpreter lock. So the start
has three limits, the next for the case that the one before has no effect:

    a Python thread               ends the process as any other error does
    another process               reports the end: log, status.json, termination log, and the exit code for the servers
    a timer of the C library      ends this process with GAVE_UP

The group of an elastic run may have lost a worker since its decision. Then the others end with RETRYABLE, and form a
group without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trainer.peers.barrier import describe
from trainer.peers.probe import probe
from trainer.roles.context import Context
from trainer.roles.shutdown import finish
from trainer.runtime import c_timer, exit_codes, proxies
from trainer.runtime.errors import GaveUp, LostPeer

_GROUP_SECONDS: Final = 60
_THREAD_SECONDS: Final = 2
"""Seconds that the Python thread has for its report, before the other process reports."""
_REPORT_SECONDS: Final = 5
_TELL_SECONDS: Final = 40
"""Seconds to import TensorFlow and to send the exit code to the servers, only for the chief of ParameterServer."""


@contextmanager
def start_limit(context: Context) -> Iterator[None]:
    """End this process with GAVE_UP, or RETRYABLE in an elastic run, if the `with` block takes too long."""
    began, seconds = time.monotonic(), _limit(context)
    code = exit_codes.RETRYABLE if context.elastic else exit_codes.GAVE_UP
    tells = context.parameter_server and not context.is_server
    latest = seconds + _THREAD_SECONDS + _REPORT_SECONDS + (_TELL_SECONDS if tells else 0)
    packages = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
    settings = {"seconds": seconds + _THREAD_SECONDS, "token": context.restarts.token, "name": context.name}
    words = [json.dumps(settings), *context.script]
    guard = subprocess.Popen(
        [sys.executable, "-m", "trainer.roles.start_guard", *words],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )

    def end() -> None:
        if time.monotonic() - began > seconds + _THREAD_SECONDS / 2:  # this thread was blocked, too
            guard.wait()
            os._exit(code)
        guard.kill()
        finish(context, blocked(context))

    cancel = c_timer.exit_after(latest, code)
    thread = threading.Timer(seconds, end)
    thread.daemon = True
    thread.start()
    try:
        yield
    finally:
        cancel()
        thread.cancel()
        guard.kill()
        guard.communicate()


def _limit(context: Context) -> int:
    return min(context.env.start_timeout, _GROUP_SECONDS) if context.elastic else context.env.start_timeout


def blocked(context: Context) -> GaveUp | LostPeer:
    """Return the error of a start that TensorFlow blocks, with what may be its cause."""
    peers = context.cluster.peers("ps", "worker")
    if context.elastic:  # the numbers of a group are not those of the run
        peers = {address: address for address in peers.values()}
    reasons = {name: probe(address) for name, address in peers.items()}
    missing = {name: reason for name, reason in reasons.items() if reason}
    found = proxies.in_use(os.environ)
    if missing:
        why = f"missing {describe(missing)}"
    else:
        proxy = f", or a proxy ({', '.join(found)})" if found else ""
        why = f"all of them accept connections. Look for what stops gRPC between the pods: a sidecar, a policy{proxy}"
    message = f"TensorFlow did not connect to the other tasks within {_limit(context)} s: {why}"
    return LostPeer(message) if context.elastic else GaveUp(message)
