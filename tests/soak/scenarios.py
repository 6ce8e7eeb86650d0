"""Single changes of an elastic run. Each scenario begins with a new run, and ends while that run trains."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.soak.stage import Stage

_AWAY_SECONDS = 20.0


def _train(stage: Stage, *workers: str) -> None:
    """Start `workers` of a MultiWorkerMirrored run and wait for their first checkpoint."""
    stage.tasks.start(*workers)
    stage.group(*workers)
    stage.saved()


def worker_joins(stage: Stage) -> None:
    first, second, third = stage.tasks.workers
    _train(stage, first, second)
    with stage.measured("a worker joins"):
        stage.tasks.start(third)
        stage.group(first, second, third)


def worker_is_killed(stage: Stage) -> None:
    _train(stage, *stage.tasks.workers)
    worker = stage.followers()[0]
    with stage.measured("a worker is killed"):
        stage.tasks.kill(worker)
        stage.group(*stage.without(worker))


def leader_is_killed(stage: Stage) -> None:
    _train(stage, *stage.tasks.workers)
    worker = stage.leader()
    with stage.measured("the leader is killed"):
        stage.tasks.kill(worker)
        stage.group(*stage.without(worker))


def worker_is_drained(stage: Stage) -> None:
    """The Job replaces the worker at once, so the group is the same again."""
    first, second, _ = stage.tasks.workers
    _train(stage, first, second)
    worker = stage.followers()[0]
    with stage.measured("a worker is drained and returns"):
        with stage.logs(worker, "training from step"):
            stage.tasks.signal(worker, signal.SIGTERM)
        stage.group(first, second)


def leader_hangs(stage: Stage) -> None:
    """The others train while the leader hangs, and it joins them instead of training with its old group."""
    first, second, _ = stage.tasks.workers
    _train(stage, first, second)
    leader = stage.leader()
    other = second if leader == first else first
    with stage.measured("the leader hangs"):
        stage.tasks.signal(leader, signal.SIGSTOP)
        stage.group(other)
    stage.saved()
    with stage.measured("a leader that hung returns"):
        stage.tasks.resume(leader)
        stage.group(first, second)


def leader_loses_its_network(stage: Stage) -> None:
    """One side continues, and the other one waits: that of the leader, unless its restart lets the lease expire."""
    first, second, _ = stage.tasks.workers
    _train(stage, first, second)
    leader = stage.leader()
    other = second if leader == first else first
    with stage.measured("the leader loses its network"):
        stage.cut(leader)
        stage.one_group([leader], [other])
    stage.saved()
    with stage.measured("both sides join again"):
        stage.heal()
        stage.group(first, second)


def worker_is_killed_after_the_decision(stage: Stage) -> None:
    """The others wait for the worker in TensorFlow, until they form the next group without it."""
    first, second, third = stage.tasks.workers
    _train(stage, first, second)
    with stage.measured("a worker is killed after the decision"):
        with stage.logs(first, f"workers: {first}, {second}"):
            stage.tasks.start(third)
            stage.tasks.wait_for(lambda: third in stage.members(), f"a decision with {third}")
            stage.tasks.kill(third)
        stage.group(first, second)


def worker_is_killed_while_another_one_starts(stage: Stage) -> None:
    """The newcomer must not train alone while the group restarts."""
    first, second, third = stage.tasks.workers
    _train(stage, first, second)
    lost = stage.leader()
    rest = second if lost == first else first
    with stage.measured("the leader is killed while another worker starts"):
        stage.tasks.kill(lost)
        stage.tasks.start(third)
        stage.group(rest, third)


def _serve(stage: Stage, *workers: str) -> None:
    """Start a ParameterServer run with `workers` and wait for its first steps."""
    stage.tasks.start("chief-0", "ps-0", "ps-1", *workers)
    stage.steps()


def worker_joins_a_run_with_holes(stage: Stage) -> None:
    first, _, third = stage.tasks.workers
    _serve(stage, third)
    with stage.measured("a worker joins"), stage.admits(first):
        stage.tasks.start(first)


def two_workers_are_killed_and_one_returns(stage: Stage) -> None:
    first, second, third = stage.tasks.workers
    _serve(stage, first, second, third)
    with stage.measured("two of three workers are killed"):
        for worker in (second, third):
            with stage.logs("chief-0", f"{worker} is lost"):
                stage.tasks.kill(worker)
    with stage.measured("one of two killed workers returns"), stage.admits(second):
        stage.tasks.start(second)


def worker_is_drained_and_returns(stage: Stage) -> None:
    first, second, _ = stage.tasks.workers
    _serve(stage, first, second)
    with stage.measured("a worker is drained and returns"), stage.admits(first):
        stage.tasks.signal(first, signal.SIGTERM)


def worker_hangs(stage: Stage) -> None:
    first, second, _ = stage.tasks.workers
    _serve(stage, first, second)
    with stage.measured("a worker hangs"), stage.logs("chief-0", f"{second} is lost"):
        stage.tasks.signal(second, signal.SIGSTOP)
    with stage.measured("a worker that hung returns"), stage.admits(second):
        stage.tasks.resume(second)


def worker_loses_its_network(stage: Stage) -> None:
    first, second, _ = stage.tasks.workers
    _serve(stage, first, second)
    with stage.measured("a worker loses its network"), stage.logs("chief-0", f"{second} is lost"):
        stage.cut(second)
    # Connections that are open all the time stay silent after that for as long again.
    time.sleep(_AWAY_SECONDS)
    restarts = stage.logs(second, "in-place restart: the network was away")
    with stage.measured("a worker with a network again returns"), stage.admits(second), restarts:
        stage.heal()


def ps_and_chief_are_killed_while_a_worker_is_absent(stage: Stage) -> None:
    _serve(stage, *stage.tasks.workers[1:])
    for task in ("ps-0", "chief-0"):
        stage.saved()
        role = task.partition("-")[0]
        with stage.measured(f"the {role} is killed and returns"), stage.logs("chief-0", "training from step"):
            stage.tasks.kill(task)
            stage.tasks.start(task)


SCENARIOS: dict[str, list[Callable[[Stage], None]]] = {
    "MultiWorkerMirrored": [
        worker_joins,
        worker_is_killed,
        leader_is_killed,
        worker_is_drained,
        leader_hangs,
        leader_loses_its_network,
        worker_is_killed_after_the_decision,
        worker_is_killed_while_another_one_starts,
    ],
    "ParameterServer": [
        worker_joins_a_run_with_holes,
        two_workers_are_killed_and_one_returns,
        worker_is_drained_and_returns,
        worker_hangs,
        worker_loses_its_network,
        ps_and_chief_are_killed_while_a_worker_is_absent,
    ],
}
"""The scenarios of each strategy."""
