"""Lost workers of a ParameterServer run are taken in one by one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import tensorflow_server_pb2
from tensorflow.python.distribute.coordinator import cluster_coordinator

from trainer.engine.recovery import Members, recover_separately
from trainer.peers.probe import SILENT

ADDRESSES = ["a:1", "b:1", "c:1"]


class Cluster:
    """Servers that the test starts and ends, and TensorFlow's connections to them."""

    def __init__(self) -> None:
        self.down: dict[str, Sequence[str]] = {}
        self.updates: list[list[int]] = []
        self.changes: list[tuple[int, int]] = []
        self.fails: Exception | None = None
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.server_def = tensorflow_server_pb2.ServerDef(job_name="chief")
        for name, addresses in (("chief", ["x:1"]), ("ps", ["y:1"]), ("worker", ADDRESSES)):
            job = self.server_def.cluster.job.add(name=name)
            job.tasks.update(dict(enumerate(addresses)))
        self.members = self.begin()

    def begin(self, absent: Sequence[int] = ()) -> Members:
        self.members = Members(ADDRESSES, absent=absent, changed=self.changed, update=self.update, probe=self.probe)
        self.members.server_def = self.server_def
        return self.members

    def changed(self, there: int, changes: int) -> None:
        self.changes.append((there, changes))

    def probe(self, address: str) -> str | None:
        [reason, *rest] = self.down.get(address, [None])
        if rest:
            self.down[address] = rest
        return reason

    def update(self, server_def: Any) -> None:
        assert [job.name for job in server_def.cluster.job] == ["chief", "ps", "worker"]
        self.reached.set()
        self.go_on.wait()
        if self.fails:
            raise self.fails
        self.updates.append(sorted(server_def.cluster.job[2].tasks))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_first_worker_that_returns_is_taken_in_while_the_other_is_absent(cluster: Cluster, lines: list[str]) -> None:
    cluster.down = {"b:1": ["connection refused"], "c:1": ["connection refused"]}
    cluster.members.lose(1)
    cluster.members.lose(2)
    assert not cluster.members.answers(1)
    del cluster.down["b:1"]
    assert cluster.members.answers(1)
    assert cluster.members.admit(1)
    assert cluster.updates == [[0, 1]]
    del cluster.down["c:1"]
    assert cluster.members.admit(2)
    assert cluster.updates == [[0, 1], [0, 1, 2]]
    assert cluster.changes == [(2, 1), (1, 1), (2, 1), (3, 1)]
    assert lines[:2] == ["worker-1 is lost: 2 of 3 workers", "worker-2 is lost: 1 of 3 workers"]
    assert [line.rpartition(" (")[0] for line in lines[2:]] == [
        "worker-1 joined: 2 of 3 workers",
        "worker-2 joined: 3 of 3 workers",
    ]


def test_update_names_no_worker_that_has_hung_unnoticed(cluster: Cluster) -> None:
    cluster.members.lose(1)
    cluster.down = {"c:1": [SILENT]}
    assert cluster.members.admit(1)
    assert cluster.updates == [[0, 1]]


def test_worker_that_misses_one_probe_stays(cluster: Cluster) -> None:
    cluster.members.lose(1)
    cluster.down = {"c:1": [SILENT, None]}  # type: ignore[list-item]
    assert cluster.members.admit(1)
    assert cluster.updates == [[0, 1, 2]]


def test_worker_that_is_lost_again_before_the_update_is_not_taken_in(cluster: Cluster) -> None:
    cluster.members.lose(1)
    cluster.down = {"b:1": ["connection refused"]}
    assert not cluster.members.admit(1)
    assert cluster.updates == []


def test_workers_that_return_during_an_update_share_the_next_one(cluster: Cluster) -> None:
    for index in range(3):
        cluster.members.lose(index)
    cluster.go_on.clear()
    threads = [threading.Thread(target=cluster.members.admit, args=(index,)) for index in range(3)]
    threads[0].start()
    assert cluster.reached.wait(30)
    for thread in threads[1:]:
        thread.start()
    while len(cluster.members._back) < 2:
        threading.Event().wait(0.01)
    cluster.go_on.set()
    for thread in threads:
        thread.join()
    assert len(cluster.updates) == 2


def test_update_that_fails_is_reported_and_can_be_repeated(cluster: Cluster) -> None:
    cluster.members.lose(1)
    cluster.fails = RuntimeError("a server is lost")
    with pytest.raises(RuntimeError, match="a server is lost"):
        cluster.members.admit(1)
    cluster.fails = None
    assert cluster.members.admit(1)
    assert cluster.updates == [[0, 1, 2]]


def test_worker_whose_shared_update_failed_is_not_taken_for_admitted(cluster: Cluster) -> None:
    cluster.members.lose(1)
    cluster.members.lose(2)
    cluster.members._back.add(2)  # as its thread does before it waits for the update of worker 1
    cluster.fails = RuntimeError("a server is lost")
    with pytest.raises(RuntimeError, match="a server is lost"):
        cluster.members.admit(1)
    cluster.fails = None
    assert cluster.members.admit(2)
    assert 2 in cluster.updates[-1]


def test_worker_that_is_absent_at_the_start_joins_later(cluster: Cluster, lines: list[str]) -> None:
    """TensorFlow's own cluster: worker 0 does all steps until worker 1 comes, and worker 2 never comes."""
    members = cluster.begin(absent=(1, 2))
    cluster.down = {"b:1": ["no DNS name"], "c:1": ["no DNS name"]}
    scheduler = cluster_coordinator.Cluster(SimpleNamespace(_num_workers=3, _num_ps=1))
    recover_separately(scheduler, members)
    resource = [worker.create_resource(lambda: None) for worker in scheduler.workers]
    ran: set[int] = set()

    def step(_: Any) -> None:
        ran.add(int(threading.current_thread().name.rpartition("-")[2]))

    def round_of_steps() -> None:
        for _ in range(20):
            scheduler.schedule(step, (cluster_coordinator.PerWorkerValues(resource),), {})
        scheduler.join()

    round_of_steps()
    assert (ran, members.there) == ({0}, 1)
    del cluster.down["b:1"]
    while 1 not in ran:
        round_of_steps()
    assert (ran, members.there, cluster.updates) == ({0, 1}, 2, [[0, 1]])
    assert [line.rpartition(" (")[0] for line in lines] == ["worker-1 joined: 2 of 3 workers"]
    scheduler.stop()


def test_returned_worker_gets_steps_while_another_is_absent(cluster: Cluster) -> None:
    """TensorFlow's own cluster: three workers, of which two are lost at once and one returns."""
    scheduler = cluster_coordinator.Cluster(SimpleNamespace(_num_workers=3, _num_ps=1))
    recover_separately(scheduler, cluster.members)
    lost = threading.Barrier(3)
    ran: list[int] = []

    def step() -> None:
        index = int(threading.current_thread().name.rpartition("-")[2])
        if not cluster.updates and index:
            cluster.down[ADDRESSES[index]] = ["connection refused"]
            lost.wait()
            raise tf.errors.UnavailableError(None, None, f"/job:worker/replica:0/task:{index} is unreachable")
        if not cluster.updates:  # worker 0 waits until both others are lost, and until one of them is back
            lost.wait()
            del cluster.down[ADDRESSES[1]]
            while not cluster.updates:
                threading.Event().wait(0.01)
        ran.append(index)

    for _ in range(3):
        scheduler.schedule(step, (), {})
    scheduler.join()
    while 1 not in ran:
        scheduler.schedule(step, (), {})
        scheduler.join()
    assert cluster.updates == [[0, 1]]
    assert 2 not in ran
    scheduler.stop()
