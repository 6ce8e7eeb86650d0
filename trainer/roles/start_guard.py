"""A process that reports the end of a task whose start TensorFlow blocks (see `trainer.roles.start_limit`).

It reads the same environment as the task, so it can write and send what the task would. Its standard input is closed
when the task ends, and the task kills it after a start in time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Final

from trainer.roles import dispatch
from trainer.roles.context import Context
from trainer.roles.shutdown import finish
from trainer.roles.start_limit import blocked
from trainer.runtime import logs
from trainer.runtime.config import load_log_format
from trainer.runtime.signals import StopSignal
from trainer.storage.lease import Lease
from trainer.storage.status import Status

_STDIN: Final = 0


def report(context: Context, token: str) -> None:
    """Write the end of the task whose lease has `token`, send its exit code, and end this process."""
    if context.writes:
        context.status = Status(context.run_dir, None if context.script else context.record.trainer.steps)
        path, stale_after = context.run_dir.at("lease.json"), context.env.lease_timeout
        context.lease = Lease(path=path, token=token, stale_after=stale_after)
    context.stop.set()  # this process must not restart as the task
    finish(context, blocked(context))


def main() -> None:
    """Wait for the end of the start, and report if it does not come in time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.argv[1])
    context = dispatch.read_context(sys.argv[2:], os.environ, StopSignal())
    logs.configure(settings["name"], load_log_format(os.environ))
    if not select.select([_STDIN], [], [], settings["seconds"])[0]:
        report(context, settings["token"])


if __name__ == "__main__":
    main()
