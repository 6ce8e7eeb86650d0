"""The end of a ParameterServer run: the chief sends each ps and worker the code to exit with.

A TensorFlow server cannot be stopped from outside, and TensorFlow does not report the end of a run to it. Therefore
each server holds a queue with a fixed name, and the chief puts the exit code into it. The queue uses the server's own
port and no files. It ends with the process, so it never contains messages of an earlier run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

import tensorflow as tf

from trainer.peers.probe import probe
from trainer.runtime.exit_codes import DONE
from trainer.runtime.logs import log
from trainer.runtime.types import Tensor

_QUEUE: Final = "trainer_run_state"
LEAVING: Final = "trainer_leaving"
"""Name of the queue in which a server announces that it received SIGTERM."""
_RETRY_EVERY: Final = 0.5
_ANSWER_SECONDS: Final = 3.0
_CALL_TIMEOUT_MS: Final = 5000


class ControlQueue:
    """One queue of one server, opened by that server or by the chief."""

    def __init__(self, target: str, role: str, index: int, queue_name: str = _QUEUE) -> None:
        """Open the queue `queue_name` of task `role`-`index`, whose server is at `target` (grpc://host:port)."""
        own = f"/job:{role}/task:{index}"
        with tf.Graph().as_default() as graph, tf.device(f"{own}/device:CPU:0"):
            queue = tf.queue.FIFOQueue(8, [tf.int32], shapes=[()], shared_name=queue_name)
            self._size: Tensor = queue.size()
            self._get: Tensor = queue.dequeue()
            self._value: Tensor = tf.compat.v1.placeholder(tf.int32, [])
            self._put: Tensor = queue.enqueue(self._value)
        # Without the filter, a session waits for all other tasks of the cluster.
        config = tf.compat.v1.ConfigProto(device_filters=[own], operation_timeout_in_ms=_CALL_TIMEOUT_MS)
        self._session = tf.compat.v1.Session(target, graph=graph, config=config)

    def size(self) -> int:
        """Return the number of messages in the queue."""
        return int(self._session.run(self._size))

    def take(self) -> int | None:
        """Remove and return the next message; return None if the queue is empty."""
        if not self.size():
            return None
        return int(self._session.run(self._get))

    def put(self, code: int) -> None:
        """Add the message `code` to the queue."""
        self._session.run(self._put, {self._value: code})


def _delivered(code: int, role: str, index: int, address: str) -> bool:
    """Send `code` to a server; return whether the server has it."""
    try:
        ControlQueue(f"grpc://{address}", role, index).put(code)
    except tf.errors.OpError:
        return False
    return True


def broadcast_exit(code: int, tasks: Mapping[str, str], linger: float) -> None:
    """Send the exit code `code` to the servers `tasks` (name -> address).

    Retry servers that do not answer for `linger` seconds, and log the ones that never answered.
    """
    until = time.monotonic() + linger
    pending = set(tasks)

    def send(name: str, address: str) -> None:
        role, _, index = name.rpartition("-")
        while True:
            reachable = probe(address, _ANSWER_SECONDS, "hung up") is None  # gRPC alone would wait for an absent server
            if reachable and _delivered(code, role, int(index), address):
                pending.discard(name)
                return
            # An unreachable server finds the DONE marker when it starts again. A failure leaves no such marker.
            if time.monotonic() >= until or (code == DONE and not reachable):
                return
            time.sleep(_RETRY_EVERY)

    threads = [threading.Thread(target=send, args=item, daemon=True) for item in tasks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()) + 1.0)
    if pending:
        log.info("cannot send the exit code to %s", ", ".join(sorted(pending)))
