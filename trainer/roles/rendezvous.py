"""The start of a distributed run: every task waits until all of its peers answer."""

from __future__ import annotations

import time

from trainer.peers.barrier import Barrier, wait_for_all
from trainer.roles.context import Context


def wait_for_peers(context: Context) -> None:
    """Wait until every ps and worker of the run answers, and record the seconds that it took.

    Raises:
        GaveUp: A task did not answer within the start timeout.

    """
    started = time.monotonic()
    barrier = Barrier(
        context.cluster.peers("ps", "worker"),
        timeout=context.env.start_timeout,
        waited=context.restarts.waited,
    )
    wait_for_all(barrier, context.cluster.address, context.stop.wait)
    context.note_startup("barrierSeconds", time.monotonic() - started)
