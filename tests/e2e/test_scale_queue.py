"""200 runs in one queue of Kueue, on simulated nodes."""

import json
import statistics
import time

import pytest

from devcluster import kwok
from tests.e2e.gitops import at
from tests.e2e.kube import Object, command
from tests.e2e.queues import Queues
from tests.e2e.scale import PATIENCE, answers_in_time, memory, simulated, tfd
from tests.e2e.team import Team, condition
from tfd.assets import CHART
from tfd.jobfile.helm import find_helm

pytestmark = pytest.mark.scale

RUNS = 200
FIT = 4
"""Runs for which the team has quota at the same time."""
TASKS = 2
ENDED = 20


def test_200_runs_in_a_queue_start_in_the_order_of_their_creation(
    simulated_nodes: None, team: Team, queues: Queues
) -> None:
    """200 runs of 2 GPUs wait in a queue of 8 GPUs. Exactly 4 runs have quota, and no run waits that is older than one
    of them. Each time a run ends, the next one gets its quota. `tfd runs` shows the line in 3 s."""
    queues.install({team: FIT * TASKS})
    before = memory("kueue")
    submit(team)
    team.wait("all runs to be in the queue", lambda: len(in_queue(team)) == RUNS, PATIENCE)
    team.wait(f"{FIT} runs with quota", lambda: len(admitted(team)) == FIT, PATIENCE)
    team.figures["memory of kueue"] = f"{memory('kueue'):.0f} MiB, {before:.0f} MiB without runs"
    tfd(team, f"tfd runs of {RUNS} queued runs", "runs", team.name)
    times = [replaced(team) for _ in range(ENDED)]
    team.timings["end of a run to quota of the next, median"] = statistics.median(times)
    team.timings["end of a run to quota of the next, longest"] = max(times)
    answers_in_time(team)


def submit(team: Team) -> None:
    """Create all runs with one request of kubectl each, because a release of Helm takes a second."""
    run = simulated("MultiWorkerMirrored", gpus=1, worker={"replicas": TASKS}, scheduling={"queue": team.name})
    file = team.folder / "run.json"
    file.write_text(json.dumps(run))
    words = [find_helm(), "template", "--namespace", team.name, "--values", str(file)]
    began = time.time()
    rendered = [command([*words, f"run-{number:03}", str(CHART)]) for number in range(RUNS)]
    team.timings[f"rendering of {RUNS} runs"] = time.time() - began
    team.kubectl("create", "-f", "-", given="\n---\n".join(rendered))


def workloads(team: Team) -> list[Object]:
    return list(team.kube.get("-n", team.name, "workloads.kueue.x-k8s.io")["items"])


def in_queue(team: Team) -> list[Object]:
    """Return the Workloads whose runs Kueue has seen."""
    return [each for each in workloads(team) if each["spec"].get("queueName")]


def admitted(team: Team) -> list[Object]:
    """Return the Workloads with quota that have not ended; check that no older run waits."""
    found = workloads(team)
    kinds = {kind: {name(each) for each in found if is_true(each, kind)} for kind in ("QuotaReserved", "Finished")}
    started = [at(each["metadata"]["creationTimestamp"]) for each in found if name(each) in kinds["QuotaReserved"]]
    waiting = [at(each["metadata"]["creationTimestamp"]) for each in found if name(each) not in kinds["QuotaReserved"]]
    if len(in_queue(team)) == RUNS:
        assert max(started) <= min(waiting)
    return [each for each in found if name(each) in kinds["QuotaReserved"] - kinds["Finished"]]


def name(workload: Object) -> str:
    return str(workload["metadata"]["name"])


def is_true(workload: Object, kind: str) -> bool:
    return condition({"status": {}} | workload, kind).get("status") == "True"


def replaced(team: Team) -> float:
    """End the oldest run with quota; return the time until another run has quota."""
    now = {name(each) for each in admitted(team)}
    ends = min(now)
    team.kubectl("annotate", "pods", "-l", f"app.kubernetes.io/instance={ends}", f"{kwok.COMPLETE}=yes")
    began = time.time()
    team.wait(f"a run after {ends}", lambda: {name(each) for each in admitted(team)} - now, PATIENCE)
    return time.time() - began
