"""The start of a distributed run: every task waits until its peers answer."""

from __future__ import annotations

import time

from trainer.peers.barrier import Barrier, wait_for_all
from trainer.roles.context import Context


def wait_for_peers(context: Context) -> set[int]:
    """Wait until every ps and enough workers of the run answer, and record the seconds that it took.

    Returns:
        The indexes of the workers that do not answer yet. There are none unless the run is elastic.

    Raises:
        GaveUp: A task did not answer within the start timeout.

    """
    started = time.monotonic()
    workers = context.cluster.peers("worker")
    barrier = Barrier(
        context.cluster.peers("ps", "worker"),
        timeout=context.env.start_timeout,
        waited=context.restarts.waited,
        optional=workers,
        spare=max(0, len(workers) - context.min_workers),
    )
    wait_for_all(barrier, context.cluster.address, context.stop.wait)
    context.note_startup("barrierSeconds", time.monotonic() - started)
    return {int(name.rpartition("-")[2]) for name in barrier.missing}
