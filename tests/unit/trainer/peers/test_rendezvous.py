"""Elastic workers meet under crashes, splits, slow processes and late files: never two groups, and the run ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.unit.trainer.peers.rendezvous_world import World
from trainer.peers import rendezvous

EXAMPLES = int(os.environ.get("RENDEZVOUS_EXAMPLES", "300"))
NUMBERS = st.integers(0, 2)
SECONDS = st.sampled_from((0, 1, 3, 10, 30, 60, 120))
CALM_SECONDS = 400
"""The patience of a newcomer, a connect that fails, and two starts, and as much again for a second attempt."""


class Run(RuleBasedStateMachine):
    """One run whose workers come, go, stop and lose sight of each other."""

    @initialize(
        least=st.integers(1, 2),
        late=st.sampled_from(((0, 0, 0), (0, 1, 2), (2, 2, 2))),
        starts=st.tuples(st.integers(3, 15), st.integers(3, 15), st.sampled_from((5, 15, 100))),
        sides=st.sampled_from(((0, 0, 0), (0, 1, 2))),
        restart=st.integers(3, 55),
        seconds=SECONDS,
    )
    def begin(
        self,
        least: int,
        late: tuple[int, ...],
        starts: tuple[int, ...],
        sides: tuple[int, ...],
        restart: int,
        seconds: int,
    ) -> None:
        self.world = World(least=least, restart_seconds=float(restart))
        for worker, lateness, side in zip(self.world.workers, late, sides, strict=True):
            worker.late, worker.side = float(lateness), side
        for number, start in enumerate(starts):
            self.world.start(number, start)
        self.world.advance(seconds)

    @rule(number=NUMBERS, start=st.integers(2, 15), seconds=SECONDS)
    def start(self, number: int, start: int, seconds: int) -> None:
        self.world.start(number, start)
        self.world.advance(seconds)

    @rule(number=NUMBERS, seconds=SECONDS)
    def kill(self, number: int, seconds: int) -> None:
        self.world.kill(number)
        self.world.advance(seconds)

    @rule(seconds=SECONDS)
    def kill_leaders(self, seconds: int) -> None:
        for leader in self.world.leaders_at_work():
            self.world.kill(leader.number)
        self.world.advance(seconds)

    @rule(number=NUMBERS, stop=st.integers(1, 40), seconds=SECONDS)
    def stop(self, number: int, stop: int, seconds: int) -> None:
        self.world.stop(number, stop)
        self.world.advance(seconds)

    @rule(number=NUMBERS, late=st.integers(1, 30), seconds=SECONDS)
    def act_late(self, number: int, late: int, seconds: int) -> None:
        self.world.workers[number].slow_action = float(late)
        self.world.stall(120)
        self.world.advance(seconds)

    @rule(restart=st.integers(3, 55))
    def restart_slowly(self, restart: int) -> None:
        """An import of TensorFlow may take longer than the lease stays valid."""
        self.world.restart_seconds = float(restart)

    @rule(number=NUMBERS, side=st.integers(0, 2), seconds=SECONDS)
    def split(self, number: int, side: int, seconds: int) -> None:
        self.world.split(number, side)
        self.world.advance(seconds)

    @rule(number=NUMBERS, stored=st.booleans(), seconds=SECONDS)
    def lose_storage(self, number: int, stored: bool, seconds: int) -> None:
        self.world.store(number, stored)
        self.world.advance(seconds)

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: int) -> None:
        self.world.advance(seconds)

    def teardown(self) -> None:
        """Without further faults, everybody who can train does so within a bound, and the run and all workers end."""
        world = getattr(self, "world", None)
        if world is None:
            return
        world.heal()
        world.enough = max(world.enough, world.work + CALM_SECONDS)
        world.advance(CALM_SECONDS)
        assert world.settled(), f"not all living workers train: {world}"
        world.enough = world.work
        if sum(worker.state == "training" for worker in world.workers):
            world.advance(5)
        for number in range(world.most):
            world.start(number, 5)
        world.advance(CALM_SECONDS)
        assert all(worker.state == "ended" for worker in world.workers), f"the run does not end: {world}"


def check(examples: int) -> None:
    """Run `examples` random schedules, always the same ones."""
    run_state_machine_as_test(
        Run,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            derandomize="RENDEZVOUS_EXAMPLES" not in os.environ,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        ),
    )


def test_no_schedule_has_two_groups_or_a_run_that_does_not_end() -> None:
    check(EXAMPLES)


def never(*_: Any) -> bool:
    return False


TRAPS: dict[str, tuple[str, Callable[..., Any]]] = {
    "a newcomer takes a restart for the end": ("patience", lambda *_: 0.0),
    "a decision directly after the first write of the lease": ("settle_seconds", lambda: 0.0),
    "a lease that is taken but not renewed": ("must_renew", never),
    "a holder of the lease that does not lead": (
        "is_leader",
        lambda terms, lease, first: lease is not None and lease.token == terms.holder and first == terms.own,
    ),
    "a lease of a dead process that nobody takes": ("is_stale", never),
    "a lease of a live process that others take": ("is_stale", lambda *_: True),
    "a worker that waits although the run is done": ("is_done", never),
    "an old decision that counts as a new one": (
        "is_joined",
        lambda terms, view: view.decision is not None and terms.own in view.decision.workers,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_is_found_without_its_rule(trap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, replacement = TRAPS[trap]
    monkeypatch.setattr(rendezvous, name, replacement)
    with pytest.raises((AssertionError, ExceptionGroup)):
        check(5 * EXAMPLES)


@pytest.mark.parametrize("round_seconds", [0.5, 2.1, 3.6])
def test_leader_decides_also_if_a_worker_hangs_and_makes_each_round_long(round_seconds: float) -> None:
    """Found by a leader that hung: the other worker renewed the lease in each round, and never decided."""
    terms = rendezvous.Terms(
        own=0, token="a.2", holder="a", most=2, least=1, rescale_after=20, start_timeout=600, lease_timeout=10
    )
    before = rendezvous.Decision(leader=1, workers={0: "a.1", 1: "b.1"}, lease="b")
    machine, now, lease = rendezvous.Rendezvous(terms, now=0), 0.0, None
    actions = []
    while now < 60 and rendezvous.Action.DECIDE not in actions:
        actions.append(machine.step(rendezvous.View(now=now, lease=lease, decision=before)))
        if actions[-1] is rendezvous.Action.HOLD:
            lease = rendezvous.LeaseContent(token="a", beat=now)
        now += round_seconds
    assert actions[-1] is rendezvous.Action.DECIDE


@pytest.mark.parametrize(("beat", "waits"), [(4, 0), (5, 10)])
def test_worker_that_saw_the_lease_of_its_leader_before_a_restart_does_not_watch_it_again(
    beat: int, waits: float
) -> None:
    terms = rendezvous.Terms(
        own=0, token="a.2", holder="a", most=2, least=1, rescale_after=20, start_timeout=600, lease_timeout=10
    )
    seen = rendezvous.Sighting(beat=4, since=90.0)
    machine, now = rendezvous.Rendezvous(terms, now=100.0, seen=seen), 100.0
    view = rendezvous.View(
        now=now,
        lease=rendezvous.LeaseContent(token="b", beat=beat),
        decision=rendezvous.Decision(leader=1, workers={0: "a.1", 1: "b.1"}, lease="b"),
    )
    while machine.step(replace(view, now=now)) is not rendezvous.Action.HOLD:
        now += 1
    assert now == 100 + waits


def test_two_workers_that_take_the_lease_at_the_same_time_do_not_hide_it_from_each_other() -> None:
    """Found by random schedules: each renewed the lease before it could see the write of the other one."""
    world = World(least=1)
    for worker in world.workers:
        worker.late, worker.side = 2.0, worker.number
    for number, seconds in enumerate((4, 3, 15)):
        world.start(number, seconds)
    world.advance(120)
    assert len(world.leaders_at_work()) == 1
