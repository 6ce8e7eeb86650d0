"""The end of a ParameterServer run: the chief tells every ps and worker with which code to leave.

A TensorFlow server can't be stopped from outside and does not know that its run has ended. So each one keeps a queue
in its own process, under a name that both sides know. It needs no further port and no file, and nothing of an earlier
run can be left in it, because it goes with the process.
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
"""Name of the queue in which a server says that it was told to stop."""
_RETRY_EVERY: Final = 0.5
_CALL_TIMEOUT_MS: Final = 5000


class ControlQueue:
    """The queue of one server, seen from that server or from the chief."""

    def __init__(self, target: str, role: str, index: int, queue_name: str = _QUEUE) -> None:
        """Open the queue of `role` `index` over the server at `target` (grpc://host:port)."""
        own = f"/job:{role}/task:{index}"
        with tf.Graph().as_default() as graph, tf.device(f"{own}/device:CPU:0"):
            queue = tf.queue.FIFOQueue(8, [tf.int32], shapes=[()], shared_name=queue_name)
            self._size: Tensor = queue.size()
            self._get: Tensor = queue.dequeue()
            self._value: Tensor = tf.compat.v1.placeholder(tf.int32, [])
            self._put: Tensor = queue.enqueue(self._value)
        # Without the filter a session waits for every other task of the cluster.
        config = tf.compat.v1.ConfigProto(device_filters=[own], operation_timeout_in_ms=_CALL_TIMEOUT_MS)
        self._session = tf.compat.v1.Session(target, graph=graph, config=config)

    def size(self) -> int:
        """Return how many messages there are."""
        return int(self._session.run(self._size))

    def take(self) -> int | None:
        """Return the next message, None when there is none."""
        if not self.size():
            return None
        return int(self._session.run(self._get))

    def put(self, code: int) -> None:
        """Leave a message."""
        self._session.run(self._put, {self._value: code})


def broadcast_exit(code: int, tasks: Mapping[str, str], linger: float) -> None:
    """Tell the servers `tasks` (name -> address) to leave with `code`; try the silent ones for `linger` seconds."""
    until = time.monotonic() + linger
    unheard = set(tasks)

    def tell(name: str, address: str) -> None:
        role, _, index = name.rpartition("-")
        while True:
            try:
                ControlQueue(f"grpc://{address}", role, int(index)).put(code)
            except tf.errors.OpError:
                # One that is down finds DONE when it starts again; a failure it would hear from nobody.
                if time.monotonic() >= until or (code == DONE and probe(address) is not None):
                    return
                time.sleep(_RETRY_EVERY)
            else:
                unheard.discard(name)
                return

    threads = [threading.Thread(target=tell, args=item, daemon=True) for item in tasks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()) + 1.0)
    if unheard:
        log.info("could not tell %s that the run has ended", ", ".join(sorted(unheard)))
