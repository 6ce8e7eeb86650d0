"""Queues of Kueue: a run is one unit, which waits, starts, stops and resumes as a whole."""

import os
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from devcluster.kueue import SECONDS_TO_BE_READY
from devcluster.paths import REGISTRY
from tests.e2e.conftest import GPUS
from tests.e2e.gitops import at
from tests.e2e.kube import Object
from tests.e2e.queues import HIGH, KINDS, LOW, Queues, alone, gpus_of, last_end, shell, started
from tests.e2e.team import Team, job

PAIRS = int(os.environ.get("TFD_E2E_PAIRS", "2"))
"""Number of random pairs of runs; set the environment variable to run more."""
FORCE = "--force-conflicts"
"""Kueue may have created the Workload before Helm did, and then owns its fields as well."""


def no_failure(team: Team, run: str) -> bool:
    """Return whether no Job of a run has counted a failed pod."""
    return not any(each["status"].get("failed") for each in team.jobs(run).values())


def waits(team: Team, queues: Queues, run: str) -> bool:
    """Return whether Kueue has seen a run and given it no quota."""
    return queues.condition(team, run, "QuotaReserved").get("status") == "False"


def has_quota(team: Team, queues: Queues, run: str) -> bool:
    return queues.condition(team, run, "QuotaReserved").get("status") == "True"


def starts(team: Team, run: str, task: str = "chief-0") -> list[int]:
    """Return the step at which each existing pod of a task began to train."""
    return [int(step) for step in re.findall(r"training from step (\d+) ", team.log(run, task))]


def pair(team: Team, seed: int) -> tuple[int, dict[str, Object]]:
    """Return a number of GPUs and two runs: each fits, but not both."""
    chance = random.Random(seed)
    quota = chance.randint(2, GPUS)
    runs = {}
    for name in (f"a{seed}", f"b{seed}"):
        gpus = chance.randint(quota // 2 + 1, quota)
        seconds = chance.randint(1, 4)
        split = chance.random() < 0.7
        runs[name] = shell(team, seconds, gpus=gpus) if split else alone(team, "sleep", str(seconds), gpus=gpus)
    return quota, runs


def test_random_pairs_of_runs_that_do_not_fit_together_end_one_after_the_other(team: Team, queues: Queues) -> None:
    """Two runs are installed at the same time, and their team has GPUs for only one of them. Never do their pods have
    more GPUs than the team has. No pair blocks itself: all Jobs of both runs are Complete. TFD_E2E_PAIRS sets the
    number of random pairs."""
    for seed in range(PAIRS):
        quota, runs = pair(team, seed)
        queues.install({team.name: quota})
        began = time.time()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name, runs=runs: team.install(name, runs[name]), runs))  # type: ignore[misc]

        def both_over(quota: int = quota, runs: dict[str, Object] = runs) -> bool:
            # One list is one moment.
            pods = team.kube.get("-n", team.name, "pods")["items"]
            assert sum(map(gpus_of, pods)) <= quota, team.report()
            return all(team.over(run) for run in runs)

        team.wait(f"both runs of pair {seed} to end", both_over)
        assert all(set(team.end(run).jobs.values()) == {"Complete"} for run in runs)
        team.wait("the quota to be free", lambda: queues.free(team))
        team.timings[f"pair {seed}"] = time.time() - began
        for run in runs:
            team.uninstall(run)


def test_more_important_run_preempts_a_whole_run_which_resumes(team: Team, queues: Queues) -> None:
    """A run without retries trains with an evaluator, and another one with a higher priority needs its GPUs. All pods
    of the first run stop after a checkpoint, and this counts as no failure. `tfd status` shows that it waits again. It
    resumes from that checkpoint by itself when the second run has ended. All Jobs are Complete."""
    queues.install({team.name: 2})
    scheduling = {"queue": team.name, "priority": LOW}
    failure = {"retriesPerTask": 0, "gracePeriod": "30s"}
    evaluator = {"replicas": 1}
    team.install(
        "first",
        job("ParameterServer", 2000, gpus=1, evaluator=evaluator, retries=0, failure=failure, scheduling=scheduling),
    )
    team.saved("first")
    began = team.install("second", shell(team, 5, gpus=2, priority=HIGH))
    pod = team.pod("second", "chief-0")
    team.timings["install to first container of the preemptor"] = max(0.0, started(pod) - began)
    assert not any(gpus_of(pod) for pod in team.pods("first")), team.report()
    now = team.tfd_status("first")
    assert now["state"] == "queued", now
    assert "stopped and waits again" in now["why"], now
    saved = team.status("first")["lastCheckpoint"]["step"]
    assert set(team.end("second").jobs.values()) == {"Complete"}
    ended = last_end(team, "second")
    resumed = team.pod("first", "chief-0")
    team.timings["preemptor's end to the resumed container"] = max(0.0, started(resumed) - ended)
    end = team.end("first")
    assert end.jobs == dict.fromkeys(["chief", "evaluator", "ps", "worker"], "Complete")
    assert no_failure(team, "first"), "a preemption was counted"
    assert starts(team, "first")[-1] == saved > 0
    assert team.done("first")["metrics"]["accuracy"] >= 0.95


def test_lost_task_is_replaced_without_another_turn(
    team: Team, queues: Queues, strike: Callable[[Team, str, str], float]
) -> None:
    """A worker of an admitted run is killed (137) while another run waits for its GPUs. The worker is replaced in the
    same place: the run keeps its quota, the other run keeps waiting, and both end with all Jobs Complete."""
    queues.install({team.name: 2})
    team.install("struck", shell(team, 40, gpus=2))
    for task in ("chief-0", "ps-0", "worker-0", "worker-1"):
        team.pod("struck", task)
    team.install("waiting", shell(team, 1, gpus=1))
    team.wait("the second run to wait", lambda: waits(team, queues, "waiting"))
    since = queues.condition(team, "struck", "QuotaReserved")["lastTransitionTime"]
    killed = strike(team, "struck", "worker-1")
    team.wait("the worker to end", lambda: len(team.pods("struck", "worker-1")) == 2)
    pod = team.pod("struck", "worker-1")
    team.timings["kill to the new container"] = started(pod) - killed
    assert queues.condition(team, "struck", "QuotaReserved")["lastTransitionTime"] == since
    assert waits(team, queues, "waiting")
    end = team.end("struck")
    assert set(end.jobs.values()) == {"Complete"}
    assert end.codes["worker-1"][-1] == 0
    assert set(team.end("waiting").jobs.values()) == {"Complete"}


def test_run_that_can_never_fit_starts_nothing_and_lets_others_pass(team: Team, queues: Queues) -> None:
    """A run needs 3 GPUs of a team that has 2. None of its pods gets a node, `tfd status` shows the reason of the
    queue, and a younger run that fits passes it."""
    queues.install({team.name: 2})
    team.install("large", shell(team, gpus=3))
    team.wait("the queue to answer", lambda: "maximum capacity" in queues.why(team, "large"))
    team.timings["install of the younger run to its end"] = -team.install("small", shell(team, gpus=2))
    assert set(team.end("small").jobs.values()) == {"Complete"}
    team.timings["install of the younger run to its end"] += time.time()
    pods = team.pods("large")
    assert len(pods) == 5
    assert not any("nodeName" in pod["spec"] for pod in pods)
    now = team.tfd_status("large")
    assert now["state"] == "queued"
    assert "maximum capacity" in now["why"]


def test_suspended_run_frees_its_quota_and_resumes_in_its_turn(team: Team, queues: Queues) -> None:
    """A run trains, and another one waits for its GPU. The first run is suspended: the second one starts and ends. The
    first one is resumed while the second one runs: it waits, and then continues from its checkpoint."""
    queues.install({team.name: 1})
    values = alone(team)
    scheduling = values["scheduling"]
    values = job("OneDevice", 600, gpus=1, pause=0.2, failure={"gracePeriod": "30s"}, scheduling=scheduling)
    team.install("first", values)
    team.saved("first")
    team.install("second", alone(team, "sleep", "15"))
    team.wait("the second run to wait", lambda: waits(team, queues, "second"))
    suspended = team.upgrade("first", values | {"state": "suspended"}, FORCE)
    team.wait("the second run to get the quota", lambda: has_quota(team, queues, "second"))
    team.timings["suspended to the other run's quota"] = time.time() - suspended
    assert team.tfd_status("first")["state"] == "suspended"
    saved = team.status("first")["lastCheckpoint"]["step"]
    team.upgrade("first", values, FORCE)
    team.wait("the first run to wait", lambda: waits(team, queues, "first"))
    team.hurry("first")
    assert set(team.end("second").jobs.values()) == {"Complete"}
    assert set(team.end("first").jobs.values()) == {"Complete"}
    assert no_failure(team, "first")
    assert starts(team, "first")[-1] == saved > 0


def test_priority_orders_the_queue(team: Team, queues: Queues) -> None:
    """Two runs wait for one GPU, and the older one has the lower priority. The younger, more important run starts
    first. `tfd status` shows why the other one waits."""
    queues.install({team.name: 1})
    team.install("holder", alone(team, "sleep", "20", priority=HIGH))
    team.pod("holder", "chief-0")
    team.install("older", alone(team, "sleep", "1", priority=LOW))
    team.wait("the older run to wait", lambda: waits(team, queues, "older"))
    team.install("younger", alone(team, "sleep", "1", priority=HIGH))
    team.wait("the younger run to wait", lambda: waits(team, queues, "younger"))
    assert "in queue" in team.tfd_status("older")["why"]
    begins = {}
    for run in ("holder", "younger", "older"):
        assert set(team.end(run).jobs.values()) == {"Complete"}
        begins[run] = at(queues.condition(team, run, "Admitted")["lastTransitionTime"])
    assert begins["holder"] < begins["younger"] < begins["older"]


def test_team_takes_back_what_another_team_has_borrowed(new_team: Callable[[], Team], queues: Queues) -> None:
    """Two teams of a cohort have 2 GPUs each. A run of the first team borrows both GPUs of the second. A run of the
    second team takes them back: the first run stops as a whole without a failure, and starts again when it fits."""
    lender, borrower = new_team(), new_team()
    queues.install({lender.name: 2, borrower.name: 2}, cohort=borrower.name)
    borrower.install("large", shell(borrower, 25, gpus=4, priority=HIGH, failure={"gracePeriod": "10s"}))
    borrower.pod("large", "chief-0")
    borrower.wait("the quota of the large run", lambda: queues.used(borrower) == 4)
    asked = lender.install("owner", shell(lender, 3, gpus=2))
    lender.wait("the owner's run to run", lambda: lender.pod("owner", "chief-0"))
    borrower.timings["asked to the owner's first container"] = started(lender.pod("owner", "chief-0")) - asked
    assert not any(map(gpus_of, borrower.pods("large"))), borrower.report()
    assert "reclamation" in str(queues.workload(borrower, "large")["status"])
    assert set(lender.end("owner").jobs.values()) == {"Complete"}
    assert set(borrower.end("large").jobs.values()) == {"Complete"}
    assert no_failure(borrower, "large"), "a reclamation was counted"


def test_finished_run_frees_its_quota(team: Team, queues: Queues) -> None:
    """A run has ended: its quota is free, and its Workload is finished. The time is recorded."""
    queues.install({team.name: 2})
    team.install("done", shell(team, 3, gpus=2))
    team.wait("the run to get its quota", lambda: queues.used(team) == 2)
    team.wait("the end of the run", lambda: team.over("done"))
    team.wait("the quota to be free", lambda: queues.free(team))
    team.timings["last container's end to the free quota"] = time.time() - last_end(team, "done")
    team.wait("Finished", lambda: queues.condition(team, "done", "Finished").get("status") == "True")
    assert set(team.end("done").jobs.values()) == {"Complete"}


def test_uninstalled_run_leaves_nothing_in_any_state(team: Team, queues: Queues) -> None:
    """Runs that are suspended, done, failed, running and queued are uninstalled. All of their objects are deleted, and
    no quota is held."""
    queues.install({team.name: 2})
    forever = alone(team, "sleep", "1000", failure={"gracePeriod": "10s"})
    team.install("suspended", forever)
    team.pod("suspended", "chief-0")
    team.upgrade("suspended", forever | {"state": "suspended"}, FORCE)
    team.install("done", alone(team, "true"))
    team.end("done")
    team.install("failed", alone(team, "sh", "-c", "exit 2"))
    team.end("failed")
    assert "holds its quota" in team.tfd_status("failed")["why"]
    team.install("running", forever)
    team.pod("running", "chief-0")
    team.install("queued", alone(team, "sleep", "1000"))
    team.wait("the last run to wait", lambda: waits(team, queues, "queued"))
    for run in ("queued", "running", "failed", "done", "suspended"):
        began = time.time()
        team.uninstall(run)
        team.wait(f"all objects of {run} to be deleted", lambda run=run: not team.objects(run, KINDS))  # type: ignore[misc]
        team.timings[f"uninstall of the {run} run"] = time.time() - began
    team.wait("all quota to be free", lambda: queues.free(team))
    assert not team.kube.get("-n", team.name, "workloads.kueue.x-k8s.io")["items"]


def test_run_that_never_starts_frees_everything_after_the_start_timeout(team: Team, queues: Queues) -> None:
    """The image of one run cannot be pulled, a mount of another never comes, and one worker of a third has no node.
    Kueue's `waitForPodsReady` is 30 s longer than `failure.startTimeout`: soon after it, all quota and GPUs are free.
    They stay free, and `tfd status` shows the reason. The times are recorded."""
    limit = SECONDS_TO_BE_READY - 30
    failure = {"startTimeout": f"{limit}s", "gracePeriod": "10s"}
    queues.install({team.name: GPUS})
    team.install("unpulled", shell(team, 600, failure=failure), "--set", f"image={REGISTRY}/none:none")
    team.install("unmounted", shell(team, 600, failure=failure, mounts=[{"at": "/data", "configMap": "none"}]))
    unplaced = job("MultiWorkerMirrored", gpus=1, failure=failure, scheduling={"queue": team.name})
    # A node of this machine has memory for one of the two.
    unplaced["worker"]["resources"] = {"requests": {"memory": "13Gi"}}
    team.install("unplaced", unplaced)
    runs = ("unpulled", "unmounted", "unplaced")
    begins = {}
    for run in runs:
        team.wait(f"{run} to get its quota", lambda run=run: has_quota(team, queues, run))  # type: ignore[misc]
        begins[run] = at(queues.condition(team, run, "QuotaReserved")["lastTransitionTime"])
    team.wait("all quota to be used", lambda: queues.used(team) == GPUS)

    for run in runs:

        def nothing_held(run: str = run) -> bool:
            return not has_quota(team, queues, run) and team.gpus_held(run) == 0

        team.wait(f"{run} to hold nothing", nothing_held)
        team.timings[f"quota of the {run} run to nothing held"] = time.time() - begins[run]
    team.wait("all quota to be free", lambda: queues.free(team))
    for run in runs:
        assert queues.workload(team, run)["spec"]["active"] is False
        assert team.tfd_status(run)["state"] == "failed"
