"""A namespace with a claim, as a team has one, and the runs in it."""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.kube import GPU, CommandError, Kube, Object, command
from tfd.assets import CHART
from tfd.jobfile.helm import find_helm

T = TypeVar("T")
# Only for giving up: every wait is for a state. Six TensorFlow processes take a minute to start on two busy cores.
PATIENCE = 240.0
POLL = 1.0  # each look takes a tenth of a second of a core that the run could use
ROLES = ("chief", "ps", "worker", "evaluator")
LABEL = "tf-distributed-e2e"
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class End:
    """How a run has ended, read from its Jobs and pods."""

    jobs: dict[str, str]
    """Role -> `Complete`, or the reason of the failure."""
    codes: dict[str, list[int | str]]
    """Task -> exit code of each of its pods that are left, the oldest first; a pod's reason where it has no code."""


def job(strategy: str, steps: int = 300, *, gpus: int = 0, **more: Any) -> Object:
    """A small job: what fits two cores next to the others of its run."""
    small = {"resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}}
    roles = {"ParameterServer": ("chief", "ps", "worker"), "MultiWorkerMirrored": ("worker",)}.get(strategy, ("chief",))
    values: Object = {
        "strategy": strategy,
        "storage": {"claim": "runs"},
        "trainer": {"task": "digits", "steps": steps, "checkpointEvery": 50} | more.pop("trainer", {}),
        "tensorboard": {"enabled": False},
        # GPUs are simulated: the trainer would refuse to train without the ones that it was promised.
        "env": [{"name": "TRAINER_GPUS_OPTIONAL", "value": "1"}],
        **{role: small | more.pop(role, {}) for role in roles},
    }
    if "evaluator" in more:
        values["evaluator"] = small | more.pop("evaluator")
    if gpus:
        values[roles[-1]]["gpus"] = gpus
    return values | more


@dataclass
class Team:
    """One namespace of a scenario's own."""

    kube: Kube
    name: str
    folder: Path
    timings: dict[str, float] = field(default_factory=dict)

    def create(self) -> None:
        """Make the namespace, which enforces restricted Pod Security, its claim, and a pod that can read the claim."""
        labels = {LABEL: "yes", "pod-security.kubernetes.io/enforce": "restricted"}
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        if self.kube.own:
            self.kube.box("claim", self.name, "runs")
        else:
            kind = os.environ.get("TFD_E2E_STORAGE_CLASS")
            spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
            spec |= {"storageClassName": kind} if kind else {}
            self.kube.apply(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "runs", "namespace": self.name},
                    "spec": spec,
                }
            )
        self.add_pod("reader", ["sleep", "infinity"])
        self.kubectl("wait", "--for=condition=Ready", "pod/reader", f"--timeout={PATIENCE:.0f}s")

    def add_pod(self, name: str, words: list[str]) -> None:
        """Start a pod that belongs to no run; it sees the claim."""
        container = {
            "name": "main",
            "image": self.kube.images["trainer"],
            "command": words,
            "securityContext": RESTRICTED,
            "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
        }
        spec = {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}],
        }
        if self.kube.own:  # the second node is drained and lost
            spec["nodeSelector"] = {"kubernetes.io/hostname": "node1"}
        metadata = {"name": name, "namespace": self.name}
        self.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def delete(self) -> None:
        """Delete the namespace; whatever still runs in it is killed at once."""
        self.kubectl("delete", "jobs,deployments", "--all", "--wait=false", "--cascade=orphan")
        self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")
        self.kube.kubectl("delete", "namespace", self.name, "--wait=false")
        if self.kube.own:
            self.kube.kubectl("delete", "persistentvolume", f"{self.name}-runs", "--wait=false", "--ignore-not-found")

    def kubectl(self, *words: str, given: str | None = None) -> str:
        return self.kube.kubectl("-n", self.name, *words, given=given)

    def install(self, run: str, values: Path | Object, *options: str, verb: str = "install") -> float:
        """`helm install`, as a user would; return when that began."""
        file = values if isinstance(values, Path) else self.folder / f"{run}.yaml"
        if not isinstance(values, Path):
            file.write_text(json.dumps(values, indent=1))
        images = [f"image={self.kube.images['trainer']}", f"tensorboard.image={self.kube.images['tensorboard']}"]
        began = time.time()
        command(
            [find_helm(), verb, run, str(CHART), "-n", self.name, "-f", str(file)]
            + [word for image in images for word in ("--set", image)]
            + list(options),
            env=self.kube.env,
        )
        return began

    def upgrade(self, run: str, values: Object, *options: str) -> float:
        """`helm upgrade`: a mutable key of the job file has changed."""
        return self.install(run, values, *options, verb="upgrade")

    def pods(self, run: str, task: str = "") -> list[Object]:
        """The run's task pods, the oldest first; all of one task, or all."""
        items = self.kube.get("-n", self.name, "pods", "-l", f"app.kubernetes.io/instance={run}")["items"]
        found = [pod for pod in items if role_of(pod) in ROLES and task in ("", task_of(pod))]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def pod(self, run: str, task: str) -> Object:
        """Wait for a task's pod that runs, and return it."""

        def running() -> Object | None:
            alive = [pod for pod in self.pods(run, task) if "deletionTimestamp" not in pod["metadata"]]
            return next((pod for pod in alive if pod["status"]["phase"] == "Running"), None)

        return self.wait(f"{task} of {run} to run", running)

    def jobs(self, run: str) -> dict[str, Object]:
        """Role -> Job."""
        items = self.kube.get("-n", self.name, "jobs", "-l", f"app.kubernetes.io/instance={run}")["items"]
        return {role_of(item): item for item in items}

    def read(self, path: str) -> str:
        """A file of the claim; empty if there is none."""
        try:
            return self.kubectl("exec", "reader", "--", "cat", f"/runs/{path}")
        except CommandError:
            return ""

    def status(self, run: str) -> Object:
        return dict(json.loads(self.read(f"{run}/status.json") or "{}"))

    def done(self, run: str) -> Object:
        return dict(json.loads(self.read(f"{run}/DONE") or "{}"))

    def log(self, run: str, task: str) -> str:
        """What all pods of a task that are left have said, each line with its time."""
        parts = []
        for pod in self.pods(run, task):
            if any("waiting" not in each["state"] for each in pod["status"].get("containerStatuses", [])):
                with contextlib.suppress(CommandError):  # it may go in between
                    parts.append(self.kubectl("logs", pod["metadata"]["name"], "--timestamps"))
        return "".join(parts)

    def exec_until_killed(self, pod: str, script: str) -> None:
        """Run a script in a pod that does not survive it."""
        with contextlib.suppress(CommandError):
            self.kubectl("exec", pod, "--", "sh", "-c", script)

    def gpus_held(self, run: str) -> int:
        """GPUs that a run's pods hold: what a pod that has ended does not."""
        items = self.kube.get("-n", self.name, "pods", "-l", f"app.kubernetes.io/instance={run}")["items"]
        return sum(
            int(container["resources"].get("requests", {}).get(GPU, 0))
            for pod in items
            if pod["status"]["phase"] not in ("Succeeded", "Failed") and "nodeName" in pod["spec"]
            for container in pod["spec"]["containers"]
        )

    def wait(self, what: str, probe: Callable[[], T | None], seconds: float = PATIENCE) -> T:
        """Return the first true thing that `probe` returns; on giving up tell all that the cluster said."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := probe():
                return found
            time.sleep(POLL)
        raise AssertionError(f"gave up after {seconds:g} s: {what}\n{self.story()}")

    def after_step(self, run: str, step: int, seconds: float = PATIENCE) -> int:
        """Wait until the run is past a step; return where it is."""
        return self.wait(f"{run} to be past step {step}", lambda: self._past(run, step), seconds)

    def _past(self, run: str, step: int) -> int | None:
        status = self.status(run)
        assert status.get("state") != "failed", f"{run} failed: {status}\n{self.story()}"
        now = int(status.get("step") or 0)
        return now if now > step and status.get("state") in ("running", "done") else None

    def saved(self, run: str, step: int = 0) -> int:
        """Wait for a checkpoint after a step; return its step."""

        def newer() -> int | None:
            found = int((self.status(run).get("lastCheckpoint") or {"step": 0})["step"])
            return found if found > step else None

        return self.wait(f"a checkpoint of {run} after step {step}", newer)

    def over(self, run: str, *roles: str) -> dict[str, str] | None:
        """How the Jobs of the roles ended, when all have and none of their pods runs; of all roles without any."""
        found = self.kube.get("-n", self.name, "jobs,pods", "-l", f"app.kubernetes.io/instance={run}")["items"]
        wanted = [item for item in found if role_of(item) in (roles or ROLES)]
        jobs = {role_of(item): finished(item) for item in wanted if item["kind"] == "Job"}
        pods = [item["status"]["phase"] for item in wanted if item["kind"] == "Pod"]
        ended = all(phase in ("Succeeded", "Failed") for phase in pods)
        return dict(sorted(jobs.items())) if jobs and all(jobs.values()) and ended else None

    def codes(self, run: str) -> dict[str, list[int | str]]:
        """Task -> exit code of each of its pods that are left, the oldest first; a pod's reason where it has none."""
        codes: dict[str, list[int | str]] = {}
        for pod in self.pods(run):
            codes.setdefault(task_of(pod), []).append(exit_of(pod))
        return dict(sorted(codes.items()))

    def end(self, run: str, seconds: float = PATIENCE) -> End:
        """Wait until every Job of a run is finished and no pod runs; return how they ended."""
        jobs = self.wait(f"the end of {run}", lambda: self.over(run), seconds)
        assert self.gpus_held(run) == 0, f"GPUs are held after the end of {run}\n{self.story()}"
        return End(jobs, self.codes(run))

    def tfd(self, name: str, run: str, *words: str) -> str:
        """What `tfd NAME RUN` prints."""
        return command([sys.executable, "-m", "tfd", name, run, "-n", self.name, *words], env=self.kube.env)

    def tfd_status(self, run: str) -> Object:
        return dict(json.loads(self.tfd("status", run, "--json")))

    def objects(self, run: str, kinds: str) -> list[str]:
        """KIND/NAME of what is left of a run."""
        items = self.kube.get("-n", self.name, kinds, "-l", f"app.kubernetes.io/instance={run}")["items"]
        return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in items)

    def uninstall(self, run: str) -> None:
        command([find_helm(), "uninstall", run, "-n", self.name], env=self.kube.env)

    def story(self) -> str:
        """What the cluster says of this namespace: for whoever reads the report of a failure."""
        parts = []
        for words in (
            ["get", "jobs,pods", "-o", "wide"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["describe", "pods", "-l", "app.kubernetes.io/name=tf-distributed"],
        ):
            parts.append(f"== kubectl {' '.join(words)}\n{self._attempt(*words)}")
        for name in self._attempt("get", "pods", "-o", "name", "-l", "app.kubernetes.io/name=tf-distributed").split():
            parts.append(f"== the end of the log of {name}\n{self._attempt('logs', name, '--tail=40')}")
        return "\n".join(parts)

    def _attempt(self, *words: str) -> str:
        try:
            return self.kubectl(*words)
        except CommandError as error:
            return str(error)


def role_of(item: Object) -> str:
    return str(item["metadata"]["labels"]["app.kubernetes.io/component"])


def task_of(pod: Object) -> str:
    return f"{role_of(pod)}-{pod['metadata']['labels']['batch.kubernetes.io/job-completion-index']}"


def exit_of(pod: Object) -> int | str:
    for status in pod["status"].get("containerStatuses", []):
        if "terminated" in status["state"]:
            return int(status["state"]["terminated"]["exitCode"])
    return str(pod["status"].get("reason", pod["status"]["phase"]))


def finished(item: Object) -> str:
    """How a Job ended: `Complete`, or the reason of its failure; empty while it has not."""
    for condition in item["status"].get("conditions", []):
        if condition["status"] == "True" and condition["type"] == "Complete":
            return "Complete"
        if condition["status"] == "True" and condition["type"] == "Failed":
            return str(condition["reason"])
    return ""


def condition(pod: Object, kind: str) -> Object:
    """A pod's condition of one type, empty if it has none."""
    return next((each for each in pod["status"].get("conditions", []) if each["type"] == kind), {})


def when(log: str, pattern: str, after: float = 0.0) -> float:
    """When a log first says something, in seconds since 1970; 0 if it does not."""
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", stamp)).timestamp()
        if moment > after and re.search(pattern, text):
            return moment
    return 0.0
