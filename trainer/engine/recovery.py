"""The workers of a ParameterServer run, each of which comes, is lost and returns by itself.

TensorFlow's coordinator has one handler for all workers. It updates the cluster only when all lost workers are back,
so the first one to return would be idle until the last one is. Here each worker has a handler of its own, and an update
names only the workers that answer. A worker that is absent at the start counts as lost. This module holds all that
TensorFlow has no public name for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import tensorflow as tf
from tensorflow.python.distribute.coordinator import cluster_coordinator
from tensorflow.python.eager import context

from trainer.peers.probe import Probe, is_silent, probe
from trainer.runtime.errors import summary
from trainer.runtime.logs import log
from trainer.runtime.types import Cluster, Coordinator, Partitioner, Resolver, ServerDef, Strategy

_LOOK_EVERY: Final = 0.5
_ANSWER_SECONDS: Final = 2.5
_HUNG_UP: Final = "hung up"
_CONNECT_RETRIES: Final = 50
"""TensorFlow's own number of attempts to connect, in which a worker may be preempted."""


class IncompleteStrategy(tf.distribute.ParameterServerStrategy):  # type: ignore[misc]
    """A ParameterServerStrategy that starts without some workers, for which TensorFlow itself would wait."""

    def __init__(self, resolver: Resolver, partitioner: Partitioner, absent: Collection[int]) -> None:
        """Connect to all servers of `resolver` but the workers with the indexes `absent`."""
        self._absent = set(absent)
        super().__init__(resolver, variable_partitioner=partitioner)

    def _connect_to_cluster(self, coordinator_name: str) -> None:
        """Do what TensorFlow's method does, for the servers that are there."""
        jobs = {role: dict(enumerate(tasks)) for role, tasks in self._cluster_resolver.cluster_spec().as_dict().items()}
        self._num_workers, self._num_ps = len(jobs["worker"]), len(jobs["ps"])
        filters = tf.config.experimental.ClusterDeviceFilters()
        for role, other in (("worker", "ps"), ("ps", "worker")):
            for index in jobs[role]:
                filters.set_device_filters(role, index, [f"/job:{other}", f"/job:{coordinator_name}"])
        jobs["worker"] = {index: each for index, each in jobs["worker"].items() if index not in self._absent}
        os.environ["TF_ENABLE_EAGER_CLIENT_STREAMING_ENQUEUE"] = "False"
        os.environ["TF_PS_DISABLE_ASYNC_EXECUTOR_GLOBALLY"] = "True"
        tf.config.experimental_connect_to_cluster(
            tf.train.ClusterSpec(jobs),
            job_name=coordinator_name,
            protocol=self._cluster_resolver.rpc_layer,
            cluster_device_filters=filters,
        )
        context.set_server_def_retries(_CONNECT_RETRIES)
        context.ensure_initialized()


def coordinator(strategy: Strategy, members: Members) -> Coordinator:
    """Return the coordinator of `strategy`, a ParameterServerStrategy whose workers come and return one by one.

    Call this before anything is scheduled.
    """
    made = tf.distribute.coordinator.ClusterCoordinator(strategy)
    members.server_def = context.get_server_def()
    recover_separately(made._cluster, members)
    return made


def recover_separately(cluster: Cluster, members: Members) -> None:
    """Give each worker of TensorFlow's `cluster`, to which nothing was scheduled yet, a handler of its own."""
    cluster.failure_handler.stop()
    for worker in cluster.workers:
        worker.failure_handler = WorkerRecovery(cluster, members, worker.worker_index)
        if worker.worker_index in members.lost:
            # Its first step fails as that of a lost worker does, and TensorFlow creates its data when it joins.
            worker._is_dead_with_error = tf.errors.UnavailableError(
                None, None, f"{worker.device_name} is not there yet"
            )


class Members:
    """The workers that take part in the run."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        absent: Collection[int] = (),
        changed: Callable[[int, int], None] = lambda there, changes: None,
        update: Callable[[ServerDef], None] = lambda server_def: context.context().update_server_def(server_def),
        probe: Probe = lambda address: probe(address, _ANSWER_SECONDS, _HUNG_UP),
    ) -> None:
        """Begin with the workers that are connected.

        Args:
            addresses: The address (host:port) of each worker.
            absent: The indexes of the workers that are not there yet.
            changed: Called with the number of workers that take part, and the number of those that joined or were lost.
            update: Connects this process to the workers of a new definition. It blocks until all answer.
            probe: Returns why an address does not answer, None if it does.

        """
        self.server_def: ServerDef = None
        """TensorFlow's definition of the cluster, which `coordinator` sets."""
        self._addresses = list(addresses)
        self._changed, self._update, self._probe = changed, update, probe
        self._connected = set(range(len(addresses))) - set(absent)
        self.lost: set[int] = set(absent)
        """The indexes of the workers that are absent or lost."""
        self._back: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=min(32, max(1, len(addresses))))

    def lose(self, index: int) -> None:
        """Record that worker `index` is lost."""
        if index in self.lost:
            return
        self.lost.add(index)
        self._changed(self.there, 1)
        log.info("worker-%d is lost: %s", index, self._count())

    def answers(self, index: int) -> bool:
        """Return whether worker `index` answers. Only a lost worker is worth the question."""
        return self._probe(self._addresses[index]) is None

    def admit(self, index: int) -> bool:
        """Take the lost worker `index` in, together with others that have returned; return whether it takes part.

        Raises:
            tf.errors.OpError: A server was lost during the update.

        """
        self._back.add(index)
        with self._lock:
            if index not in self.lost:  # the thread of another worker has taken this one in with its own
                return True
            joining = self._back | {index}
            there = self._there(self._connected | joining)
            self._back -= joining
            joining &= there
            if index not in joining:
                return False
            started = time.monotonic()
            self._update(self._definition(there))
            self._connected = there
            self.lost -= joining
            self._changed(self.there, len(joining))
            names = ", ".join(f"worker-{each}" for each in sorted(joining))
            log.info("%s joined: %s (%.2f s)", names, self._count(), time.monotonic() - started)
            return True

    def _there(self, workers: set[int]) -> set[int]:
        """Return those of `workers` that answer, because an update waits for each worker that it names."""
        answers = self._pool.map(self._patiently, workers)
        return {index for index, answer in zip(workers, answers, strict=True) if answer}

    def _patiently(self, index: int) -> bool:
        """Return whether worker `index` answers. A worker on a busy machine may miss one probe."""
        reason = self._probe(self._addresses[index])
        return (self._probe(self._addresses[index]) if is_silent(reason) else reason) is None

    def _definition(self, workers: set[int]) -> ServerDef:
        """Return the definition of a cluster with `workers`, which keep their indexes."""
        changed = type(self.server_def)()
        changed.CopyFrom(self.server_def)
        for job in changed.cluster.job:
            if job.name == "worker":
                job.tasks.clear()
                job.tasks.update({index: self._addresses[index] for index in sorted(workers)})
        return changed

    @property
    def there(self) -> int:
        """The number of workers that take part."""
        return len(self._addresses) - len(self.lost)

    def _count(self) -> str:
        return f"{self.there} of {len(self._addresses)} workers"


class _Condition(threading.Condition):
    """A condition without a time limit: TensorFlow's limit of an hour would use a worker that is not there."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait()


class WorkerRecovery(cluster_coordinator.WorkerPreemptionHandler):  # type: ignore[misc]
    """TensorFlow's handler of lost workers for a single worker.

    TensorFlow's code in the thread of the worker repeats its step elsewhere and waits. `_preemption_handler`, in a
    thread of its own, takes the worker in again and ends that wait.
    """

    def __init__(self, cluster: Cluster, members: Members, index: int) -> None:
        self._members, self._index = members, index
        super().__init__(members.server_def, cluster)
        self._worker_up_cond = _Condition(self._cluster_update_lock)

    def _preemption_handler(self) -> None:
        while True:
            self._cluster_due_for_update_or_finish.wait()
            if not self._should_preemption_thread_run:
                return
            self._members.lose(self._index)
            self._error_from_recovery = self._recover()
            with self._cluster_update_lock:
                self._worker_up_cond.notify_all()
                if self._should_preemption_thread_run:
                    self._cluster_due_for_update_or_finish.clear()

    def _recover(self) -> Exception | None:
        """Return when the worker takes part again, or with an error that is not the loss of a worker."""
        while self._should_preemption_thread_run:
            try:
                if self._members.answers(self._index) and self._members.admit(self._index):
                    return None
                time.sleep(_LOOK_EVERY)
            except Exception as error:  # noqa: BLE001, RUF100 - TensorFlow decides which errors end the run
                log.info("cannot take in worker-%d: %s", self._index, summary(error))
                try:
                    self._validate_preemption_failure(error)
                except Exception as final:  # noqa: BLE001, RUF100 - TensorFlow raises it in the thread of the worker
                    return final
                time.sleep(_LOOK_EVERY)
        return None
