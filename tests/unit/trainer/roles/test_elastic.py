"""Workers of an elastic run meet over real ports and files, without TensorFlow."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.loopback import free_port
from tests.unit.trainer.conftest import RECORD
from trainer.peers import members
from trainer.peers.rendezvous import Decision
from trainer.roles import elastic
from trainer.roles.context import Context, Group
from trainer.roles.restart import InPlaceRestartState
from trainer.runtime.config import RuntimeEnv, parse_record
from trainer.runtime.errors import GaveUp, GroupChange, LostLease, LostPeer
from trainer.runtime.serialize import now
from trainer.runtime.signals import StopSignal
from trainer.runtime.tf_config import Cluster
from trainer.storage import files
from trainer.storage.run_dir import RunDir

Make = Callable[..., Context]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function that makes the context of a worker of one run."""
    addresses = tuple(f"127.0.0.1:{free_port()}" for _ in range(3))
    raw = copy.deepcopy(RECORD)
    raw["identity"]["strategy"] = "MultiWorkerMirrored"
    record = parse_record(raw)

    def context(number: int, *, start_timeout: int = 60, restarts: InPlaceRestartState | None = None) -> Context:
        env = RuntimeEnv(
            run_dir=str(tmp_path / "run"),
            min_workers=2,
            rescale_after=1,
            start_timeout=start_timeout,
        )
        return Context(
            cluster=Cluster(role="worker", index=number, tasks={"worker": addresses}),
            env=env,
            record=record,
            run_dir=RunDir(env.run_dir, record),
            stop=StopSignal(),
            restarts=restarts or InPlaceRestartState(),
            started=now(),
        )

    before = os.environ.get("TF_CONFIG")
    yield context
    if before is None:
        os.environ.pop("TF_CONFIG", None)
    else:
        os.environ["TF_CONFIG"] = before


def test_two_of_three_workers_form_a_group_with_one_leader_that_holds_the_lease(make: Make) -> None:
    contexts = [make(1), make(2)]
    with ThreadPoolExecutor() as pool:
        joins: list[Future[bool]] = [pool.submit(elastic.join, context) for context in contexts]
        assert [join.result() for join in joins] == [True, True]
    first, second = contexts
    assert first.cluster.tasks == second.cluster.tasks
    assert sorted(context.cluster.index for context in contexts) == [0, 1]
    [leader] = [context for context in contexts if context.writes]
    assert leader.lease is not None
    leader.lease.check()
    assert [context.lease for context in contexts if context is not leader] == [None]
    assert json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"] == list(first.cluster.tasks["worker"])
    decision = members.read(leader.run_dir.at(members.NAME))
    assert decision is not None
    assert sorted(decision.workers) == [1, 2]
    assert {context.name for context in contexts} == {"worker-1", "worker-2"}
    assert first.restarts.group == second.restarts.group != ""


def test_status_has_the_workers_of_the_group_and_its_changes(make: Make) -> None:
    before = Decision(leader=0, workers={0: "a.1", 1: "b.1"}, lease="a")
    returned, new = make(1, restarts=InPlaceRestartState(token="b")), make(2)
    returned.run_dir.claim()
    members.write(returned.run_dir.at(members.NAME), before)
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(elastic.join, (returned, new))) == [True, True]
    [leader] = [context for context in (returned, new) if context.writes]
    leader.claim(on_lost=lambda _: None)
    assert leader.status is not None
    leader.status.stop_heartbeat()
    leader.status.update()
    found = leader.run_dir.read_status() or {}
    assert found["workers"] == {"there": 2, "least": 2, "most": 3}
    assert found["workerChanges"] == 2, "worker 0 is lost and worker 2 has joined"
    assert leader.lease is not None
    leader.lease.give_back()


@pytest.mark.parametrize(("changed", "restarts"), [(True, 2), (False, 3)])
def test_restart_with_the_same_workers_counts_and_one_with_others_does_not(
    make: Make, changed: bool, restarts: int
) -> None:
    """The alert about restarts must not fire for an elastic run whose workers come and go."""
    contexts = [make(number, restarts=InPlaceRestartState(token=token)) for number, token in ((0, "a"), (1, "b"))]
    run_dir = contexts[0].run_dir
    run_dir.claim()
    files.write_text(run_dir.at("status.json"), json.dumps({"state": "running", "step": 3, "restarts": 2}))
    before = {0: "a.1", 1: "b.1", 2: "c.1"} if changed else {0: "a.1", 1: "b.1"}
    members.write(run_dir.at(members.NAME), Decision(leader=0, workers=before, lease="a"))
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(elastic.join, contexts)) == [True, True]
    [leader] = [context for context in contexts if context.writes]
    leader.claim(on_lost=lambda _: None)
    assert leader.status is not None
    leader.status.stop_heartbeat()
    assert leader.status["restarts"] == restarts
    assert leader.status["leader"] == leader.name
    assert leader.lease is not None
    leader.lease.give_back()


def test_worker_alone_gives_up_after_the_start_timeout_and_names_the_missing_ones(make: Make) -> None:
    context = make(0, start_timeout=1)
    with pytest.raises(GaveUp, match=r"fewer than 2 workers came: missing worker-1, worker-2 \(connection refused\)"):
        elastic.join(context)
    assert context.lease is not None, "`finish` gives it back"
    status = context.run_dir.read_status() or {}
    assert (status["state"], status["message"]) == ("starting", "waiting for a group: worker-0")
    assert status["workers"] == {"there": 0, "least": 2, "most": 3}


def test_worker_of_a_run_that_is_done_joins_no_group(make: Make) -> None:
    context = make(0)
    context.run_dir.claim()
    context.run_dir.write_done({"step": 1})
    assert elastic.join(context) is False


def grouped(context: Context, *, leader: int, number: int) -> Context:
    decision = Decision(leader=leader, workers={0: "a.1", 1: "b.1"}, lease="a")
    context.group = Group(whole=context.cluster, decision=decision, tf_config="")
    index = decision.group.index(number)
    context.cluster = Cluster(role="worker", index=index, tasks={"worker": context.cluster.tasks["worker"][:2]})
    return context


def test_leader_announces_who_belongs_to_the_next_group(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    context = grouped(make(0), leader=0, number=0)
    context.run_dir.claim()
    waits = elastic.Beacon(make(2).cluster.tasks["worker"][2])
    waits.wait_as("c.1")
    monkeypatch.setattr(elastic, "_GROW_AFTER", 0.0)
    monkeypatch.setattr(elastic, "_LOOK_SECONDS", 0.01)
    assert context.group is not None
    growth = elastic.Growth(context, context.group)
    while not growth.requested():
        pass
    waits.close()
    assert isinstance(growth.change(7), GroupChange)
    decision = members.read(context.run_dir.at(members.NAME))
    assert decision is not None
    assert decision.expected == {0, 1, 2}


@pytest.mark.parametrize("lease", ["\n", '{"token": "a", "host": "h", "pid": 1, "beat": 3}'])
def test_follower_loses_a_leader_that_does_not_end_the_run(
    make: Make, monkeypatch: pytest.MonkeyPatch, lease: str
) -> None:
    monkeypatch.setattr(elastic, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(elastic, "_LEADER_SECONDS", 0.1)
    context = grouped(make(1), leader=0, number=1)
    context.env = RuntimeEnv(run_dir=context.env.run_dir, lease_timeout=0)
    context.run_dir.claim()
    files.write_text(context.run_dir.at("lease.json"), lease)
    with pytest.raises(LostPeer, match="the leader is lost before the run is done"):
        elastic.wait_for_done(context)
    context.run_dir.write_done({"step": 1})
    elastic.wait_for_done(context)


def test_follower_that_restarts_has_seen_when_its_leader_renewed_the_lease(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic, "_LOOK_SECONDS", 0.01)
    contexts = [make(0), make(1)]
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(elastic.join, contexts)) == [True, True]
    [follower] = [context for context in contexts if not context.writes]
    while not follower.restarts.lease_since:
        pass
    before = follower.restarts
    [leader] = [context for context in contexts if context.writes]
    assert leader.lease is not None
    leader.lease.renew()
    while follower.restarts.lease_beat == before.lease_beat:
        pass
    state = follower.restarts.after_lost_peer(checkpoint=1, limit=3)
    assert state is not None
    assert state.lease_beat == elastic.lease_content(leader.run_dir.at("lease.json")).beat  # type: ignore[union-attr]
    assert state.lease_since > before.lease_since


def test_leader_whose_lease_was_taken_before_it_trains_does_not_claim_the_run_directory(make: Make) -> None:
    context = grouped(make(0), leader=0, number=0)
    context.run_dir.claim()
    path = context.run_dir.at("lease.json")
    context.lease = elastic.Lease(path=path, token="a", stale_after=10.0)
    files.write_text(path, '{"token": "b", "host": "h", "pid": 1, "beat": 3}')
    with pytest.raises(LostLease, match="another chief"):
        context.claim(on_lost=lambda _: None)
    assert context.status is None
