"""Queues of teams, rendered by argocd/ and served by the Kueue of `make cluster`, and small runs that wait in them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcluster.paths import CHECKOUT
from tests import programs
from tests.e2e.gitops import at
from tests.e2e.kube import GPU, Kube, Object, command
from tests.e2e.team import Team, condition
from tfd.jobfile.helm import find_helm

FLAVOR = "e2e"
LOW, HIGH = "e2e-low", "e2e-high"
PRIORITIES = {LOW: 10, HIGH: 1000}
PREFIX = "e2e-"
KINDS = "jobs,pods,services,configmaps,networkpolicies,workloads.kueue.x-k8s.io"


def values(quotas: dict[str, int], cohort: str = "") -> Object:
    """Return the values of argocd/ that give each team a queue with some GPUs."""
    teams = {name: {"queue": {FLAVOR: {"cpu": 64, "memory": "256Gi", GPU: gpus}}} for name, gpus in quotas.items()}
    # The default priorities are not rendered: the classes belong to the whole cluster.
    others = dict.fromkeys(("low", "normal", "high"))
    queues = {"cohort": cohort, "flavors": [{"name": FLAVOR}], "priorities": others | PRIORITIES}
    return {"teams": teams, "queues": queues}


def shell(team: Team, seconds: int = 3, *, gpus: int = 1, priority: str = "", **more: Any) -> Object:
    """Return a job file with a chief, a ps and one worker for each GPU, whose leader sleeps for some seconds."""
    scheduling = {"queue": team.name} | ({"priority": priority} if priority else {})
    made = programs.job("shell", seconds=seconds, scheduling=scheduling, **more)
    made["ps"]["replicas"] = 1
    made["worker"] |= {"replicas": gpus, "gpus": 1}
    return made


def alone(team: Team, *words: str, gpus: int = 1, priority: str = "", **more: Any) -> Object:
    """Return a job file with one task, which runs a command."""
    scheduling = {"queue": team.name} | ({"priority": priority} if priority else {})
    return {
        "strategy": "OneDevice" if gpus == 1 else "Mirrored",
        "storage": {"claim": "runs"},
        "chief": programs.SMALL | {"gpus": gpus},
        "tensorboard": {"enabled": False},
        "command": list(words),
        "scheduling": scheduling,
    } | more


@dataclass
class Queues:
    """The queues of the teams of a scenario."""

    kube: Kube
    folder: Path
    teams: list[str] = field(default_factory=list)

    def install(self, quotas: dict[str, int], cohort: str = "") -> None:
        """Give each team a queue with a number of GPUs; teams of one cohort borrow from each other."""
        self.teams = list(quotas)
        file = self.folder / "queues.json"
        rendered = values(quotas, cohort)
        file.write_text(json.dumps({"repository": "https://example.com/runs"} | rendered))
        words = [find_helm(), "template", "argocd", str(CHECKOUT / "argocd"), "--values", str(file)]
        text = command([*words, "--show-only", "templates/teams/queues.yaml"])
        for name in self.teams:
            self.kube.kubectl("label", "namespace", name, "kueue.x-k8s.io/managed-namespace=true")
        self.kube.kubectl("apply", "--server-side", "-f", "-", given=text)

    def used(self, team: Team) -> int:
        """Return the number of GPUs that the runs of a team hold as quota, with those that it borrows."""
        status = self.kube.get("clusterqueue", team.name).get("status", {})
        flavors = status.get("flavorsReservation", [])
        return sum(int(each["total"]) for flavor in flavors for each in flavor["resources"] if each["name"] == GPU)

    def free(self, team: Team) -> bool:
        """Return whether no run of a team holds quota."""
        return self.used(team) == 0

    def workload(self, team: Team, run: str) -> Object:
        """Return the Workload of a run, or an empty mapping if none exists."""
        words = ("-n", team.name, "get", "workloads.kueue.x-k8s.io", run, "--ignore-not-found", "-o", "json")
        return dict(json.loads(self.kube.kubectl(*words) or "{}"))

    def condition(self, team: Team, run: str, kind: str) -> Object:
        """Return a condition of the Workload of a run, or an empty mapping."""
        return condition({"status": {}} | self.workload(team, run), kind)

    def why(self, team: Team, run: str) -> str:
        """Return why a run has no quota."""
        return str(self.condition(team, run, "QuotaReserved").get("message", ""))

    def remove(self) -> None:
        """End the runs and remove the queues; the fixtures of the teams delete their namespaces."""
        for team in self.teams:
            end(self.kube, team)
        forget(self.kube, self.teams)


def gpus_of(pod: Object) -> int:
    """Return the number of GPUs that a pod uses or may use at once: it is not gated and has not ended."""
    if pod["spec"].get("schedulingGates") or pod["status"]["phase"] in ("Succeeded", "Failed"):
        return 0
    return sum(int(each["resources"].get("requests", {}).get(GPU, 0)) for each in pod["spec"]["containers"])


def started(pod: Object) -> float:
    """Return the start of a pod's container."""
    return at(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])


def last_end(team: Team, run: str) -> float:
    """Return the end of the last container of a run."""
    ends = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] for pod in team.pods(run)]
    return max(map(at, ends))


def end(kube: Kube, team: str) -> None:
    """End all runs of a team. Kueue releases their pods only when their Workloads are deleted."""
    kube.kubectl("-n", team, "delete", "jobs,workloads.kueue.x-k8s.io", "--all", "--wait=false")
    pods = ("pods", "-l", "app.kubernetes.io/name=tf-distributed")
    kube.kubectl("-n", team, "delete", *pods, "--grace-period=1", "--wait=false")
    kube.kubectl("-n", team, "wait", "--for=delete", *pods, "--timeout=120s")


def forget(kube: Kube, teams: list[str]) -> None:
    """Delete the ClusterQueues of some teams; Kueue removes them when their last run has ended."""
    if teams:
        kube.kubectl("delete", "clusterqueue", *teams, "--ignore-not-found", "--wait=false")


def sweep(kube: Kube) -> None:
    """Delete the queues, the flavor and the priorities of earlier sessions."""
    names = [str(item["metadata"]["name"]) for item in kube.get("clusterqueues")["items"]]
    forget(kube, [name for name in names if name.startswith(PREFIX)])
    kube.kubectl("delete", "resourceflavor", FLAVOR, "--ignore-not-found", "--wait=false")
    kube.kubectl("delete", "workloadpriorityclass", *PRIORITIES, "--ignore-not-found")
