"""A run of 1,101 tasks on simulated nodes: 1 chief, 100 ps and 1,000 workers."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from devcluster.paths import CHECKOUT
from tests.e2e.kube import Object, command
from tests.e2e.scale import PATIENCE, answers_in_time, pods, running, simulated, stored, tfd
from tests.e2e.team import Team
from tfd.assets import CHART
from tfd.jobfile.helm import find_helm

pytestmark = pytest.mark.scale

TASKS = 1101
VALUES = simulated("ParameterServer", ps={"replicas": 100}, worker={"replicas": 1000})
OLDER = os.environ.get("TFD_SCALE_BASE") or "b9efa3bcd15f85123bf71474d304bac7b2cc71a5"
"""Commit whose chart is the yardstick of the time to Running."""
PAIRS = 3
RATIO = 1.05
RESOLVE = """
import concurrent.futures, json, socket, sys
def address(name):
    return socket.gethostbyname(name.rpartition(":")[0])
names = [each for role in json.load(sys.stdin).values() for each in role]
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(address, names))))
"""


def test_run_of_1101_tasks_starts_suspends_resumes_and_ends(simulated_nodes: None, team: Team) -> None:
    """A run of 1,101 tasks: all tasks run, and a pod resolves the address of each task. The environment of a task
    does not depend on their number. `tfd status` and `tfd runs` answer in 3 s. The run is suspended and resumed, and
    `helm uninstall` deletes every pod."""
    before = stored(team.kube)
    began = team.install("large", VALUES)
    all_running(team, "large", began, "install to all tasks running")
    team.figures["etcd growth"] = f"{stored(team.kube) - before:.0f} MiB"
    resolvable(team)
    independent_of_the_number(team)
    tfd(team, "tfd status", "status", f"{team.name}/large")
    tfd(team, "tfd runs", "runs", team.name)
    began = team.upgrade("large", VALUES, "--set", "state=suspended")
    gone(team, began, "suspend to no pod")
    began = team.upgrade("large", VALUES)
    all_running(team, "large", began, "resume to all tasks running")
    began = time.time()
    team.uninstall("large")
    gone(team, began, "uninstall to no pod")
    answers_in_time(team)


def test_chart_is_as_fast_as_its_older_version(simulated_nodes: None, team: Team, tmp_path: Path) -> None:
    """Runs of 1,101 tasks start in pairs, one from the chart of an older commit and one from this chart. The median
    time until all tasks run is at most 1.05 times that of the older chart."""
    charts = {"older": older(tmp_path), "current": CHART}
    measured: dict[str, list[float]] = {"older": [], "current": []}
    for pair in range(PAIRS):
        # The order changes, so that a cluster that becomes slower favors none.
        for name in sorted(charts, reverse=bool(pair % 2)):
            run = f"{name}-{pair}"
            began = team.install(run, VALUES, chart=charts[name])
            team.wait(f"{run} to run", lambda run=run: running(team, run) == TASKS, PATIENCE)
            measured[name].append(time.time() - began)
            team.uninstall(run)
            team.wait(f"{run} to end", lambda: pods(team) == 0, PATIENCE)
    for name, times in measured.items():
        team.timings[f"{name} chart: install to all tasks running"] = statistics.median(times)
        team.figures[f"{name} chart"] = ", ".join(f"{each:.1f} s" for each in times)
    ratio = statistics.median(measured["current"]) / statistics.median(measured["older"])
    team.figures["current chart / older chart"] = f"{ratio:.3f}"
    assert ratio <= RATIO, measured


def all_running(team: Team, run: str, began: float, what: str) -> None:
    team.wait(what, lambda: running(team, run) == TASKS, PATIENCE)
    team.timings[what] = time.time() - began


def gone(team: Team, began: float, what: str) -> None:
    team.wait(what, lambda: pods(team) == 0, PATIENCE)
    team.timings[what] = time.time() - began


def resolvable(team: Team) -> None:
    """Check that the run has one Service with all tasks, and that a pod resolves each address of TF_CONFIG."""
    assert team.objects("large", "services") == ["Service/large"]
    selector = ("-l", "kubernetes.io/service-name=large")

    def endpoints() -> list[str]:
        slices = team.kube.get("-n", team.name, "endpointslices", *selector)["items"]
        return [address for each in slices for one in each.get("endpoints") or [] for address in one["addresses"]]

    team.wait("complete EndpointSlices", lambda: len(endpoints()) == TASKS, PATIENCE)
    cluster = team.kube.get("-n", team.name, "configmap", "large")["data"]["cluster"]
    began = time.time()
    found = json.loads(team.kubectl("exec", "-i", "reader", "--", "python", "-c", RESOLVE, given=cluster))
    team.timings["resolution of all tasks in a pod"] = time.time() - began
    assert len(set(found)) == TASKS
    assert sorted(found) == sorted(endpoints())
    team.figures["addresses of all tasks in TF_CONFIG"] = f"{len(cluster):,} bytes"


def independent_of_the_number(team: Team) -> None:
    """Check that the environment of each worker is that of a worker in a run of 4 tasks."""
    selector = "app.kubernetes.io/instance=large,app.kubernetes.io/component=worker"
    found = team.kube.get("-n", team.name, "pods", "-l", selector)["items"]
    assert len(found) == VALUES["worker"]["replicas"]
    few = ["--set", "ps.replicas=1,worker.replicas=2", "--show-only", "templates/worker.yaml"]
    file = str(team.folder / "large.yaml")
    [small] = yaml.safe_load_all(command([find_helm(), "template", "large", str(CHART), "-f", file, *few]))
    assert {values(each["spec"]) for each in found} == {values(small["spec"]["template"]["spec"])}
    team.figures["size of a pod"] = f"{statistics.median(len(json.dumps(each)) for each in found):,.0f} bytes"


def values(pod: Object) -> tuple[tuple[str, str], ...]:
    """Return the variables of a pod's container that have a value."""
    return tuple((each["name"], each["value"]) for each in pod["containers"][0]["env"] if "value" in each)


def older(folder: Path) -> Path:
    """Return the chart of the older commit."""
    archive = subprocess.run(
        ["git", "archive", OLDER, "charts/tf-distributed"], cwd=CHECKOUT, capture_output=True, check=False
    )
    assert archive.returncode == 0, f"{OLDER}: {archive.stderr.decode()} Set TFD_SCALE_BASE to a commit of this clone."
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive.stdout, check=True)
    return folder / "charts" / "tf-distributed"
