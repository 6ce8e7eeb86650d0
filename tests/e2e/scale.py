"""Runs on simulated nodes, and measurements, for the scenarios of `make e2e-scale`."""

import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster import argocd, control, kwok
from devcluster.paths import CHECKOUT
from tests.e2e.gitops import NAMESPACE, GitOps
from tests.e2e.kube import Kube, Object
from tests.e2e.team import Team, job

NODES = 100
ANSWER = 3.0
"""`tfd status` and `tfd runs` answer within this number of seconds."""
PATIENCE = 1200.0
PLACE: Object = {"nodeSelector": kwok.LABEL, "tolerations": [{"operator": "Exists"}]}
"""Simulated nodes. Their heartbeats are late on a busy machine, so the pods also tolerate a node that is not ready."""


def simulated(strategy: str, gpus: int = 0, **more: object) -> Object:
    """Return a small job file whose tasks run on simulated nodes, where no container starts."""
    values = job(strategy, 1000, gpus=gpus, **more)
    return values | {role: values[role] | PLACE for role in ("chief", "ps", "worker") if role in values}


def running(team: Team, run: str) -> int:
    """Return the number of running tasks of a run. A late heartbeat of a node makes a task unready, but not ended."""
    words = ("-l", f"app.kubernetes.io/instance={run}", "--field-selector=status.phase=Running")
    return rows(team, "-n", team.name, "get", "pods", *words)


def pods(team: Team) -> int:
    """Return the number of pods of runs that exist in the namespace of a team."""
    return rows(team, "-n", team.name, "get", "pods", "-l", "app.kubernetes.io/name=tf-distributed")


def start_together(gitops: GitOps, team: Team, files: dict[str, Object]) -> float:
    """Commit many job files at once, wait for their Applications and Jobs, and record the times with `team`."""
    selector = f"tf-distributed.github.io/team in ({','.join(each.name for each in gitops.teams)})"
    before = stored(team.kube)
    pushed = gitops.commit(dict(files))
    for kind, words in (
        ("Applications", ("-n", NAMESPACE, "get", "applications", "-l", selector)),
        ("Jobs", ("get", "jobs", "-A", "-l", "app.kubernetes.io/component=chief")),
    ):
        team.wait(f"{len(files)} {kind}", lambda words=words: rows(team, *words) >= len(files), PATIENCE)
        team.timings[f"push to {len(files):,} {kind}"] = time.time() - pushed
    team.figures["etcd growth"] = f"{stored(team.kube) - before:.0f} MiB"
    return pushed


def rows(team: Team, *words: str) -> int:
    """Return the number of objects that `kubectl get` prints."""
    return len(team.kube.kubectl(*words, "--no-headers").splitlines())


def argocd_memory(team: Team) -> None:
    """Record the memory of each component of Argo CD."""
    for component in argocd.COMPONENTS:
        team.figures[f"memory of {component}"] = f"{memory(component):.0f} MiB"


def memory(component: str) -> float:
    """Return the resident memory of a component of the control plane in MiB."""
    outer = control.NAMESPACES.running(component)
    [pid] = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def stored(kube: Kube) -> float:
    """Return the size of the database of etcd in MiB."""
    text = kube.kubectl("get", "--raw", "/metrics")
    sizes = re.findall(r"^apiserver_storage_size_bytes\{[^}]*\} (\S+)$", text, flags=re.M)
    return max(map(float, sizes)) / 2**20


@dataclass(frozen=True)
class Cost:
    """The median cost of some calls of a command."""

    wall: float
    cpu: float
    """CPU time of the command and of the programs that it calls, which a busy machine does not change much."""


def cost(words: Sequence[str], env: dict[str, str], cwd: Path = CHECKOUT, times: int = 5) -> Cost:
    """Run a command some times and return what it costs; it must exit with 0."""
    walls, cpus = [], []
    for _ in range(times):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(words, cwd=cwd, env=os.environ | env, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout[:2000]}\n{done.stderr[:2000]}"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.monotonic() - began)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Cost(statistics.median(walls), statistics.median(cpus))


def tfd(team: Team, what: str, *words: str) -> None:
    """Measure `tfd` and record the cost with a team."""
    found = cost([sys.executable, "-m", "tfd", *words], team.kube.env)
    team.timings[what] = found.wall
    team.figures[f"{what}: CPU time"] = f"{found.cpu:.1f} s"


def answers_in_time(team: Team) -> None:
    """Check the recorded times of `tfd`."""
    assert {what: value for what, value in team.timings.items() if what.startswith("tfd ") and value > ANSWER} == {}
