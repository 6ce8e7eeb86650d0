"""The namespace of a team, with a claim, and the runs in the namespace."""

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

from devcluster.paths import CHECKOUT
from tests.e2e.kube import GPU, CommandError, Kube, Object, command
from tfd.assets import CHART
from tfd.jobfile.helm import find_helm

T = TypeVar("T")
# A time limit only: every wait is for a state. Six TensorFlow processes take a minute to start on two busy cores.
PATIENCE = 240.0
POLL = 1.0  # Each poll takes a tenth of a second of a core that the run needs.
ROLES = ("chief", "ps", "worker", "evaluator")
LABEL = "tf-distributed-e2e"
PACED = (CHECKOUT / "tests" / "programs" / "paced.py").read_text()
MOST_LOGS = 20
"""Pods whose logs the message of a failure shows."""
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class End:
    """The end of a run, read from its Jobs and pods."""

    jobs: dict[str, str]
    """Role -> `Complete`, or the reason of the failure."""
    codes: dict[str, list[int | str]]
    """Task -> exit code of each existing pod, the oldest first; the reason of a pod without an exit code."""


def job(strategy: str, steps: int = 300, *, gpus: int = 0, pause: float = 0.0, **more: Any) -> Object:
    """Return a small job file, whose tasks fit together on two cores.

    Args:
        strategy: The strategy of the run.
        steps: The number of steps.
        gpus: The number of GPUs of each task of the last role.
        pause: Seconds that each step waits, so that the run outlasts a change on any machine, until `Team.hurry`.
        more: More keys of the job file.

    """
    small = {"resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}}
    roles = {"ParameterServer": ("chief", "ps", "worker"), "MultiWorkerMirrored": ("worker",)}.get(strategy, ("chief",))
    values: Object = {
        "strategy": strategy,
        "storage": {"claim": "runs"},
        "trainer": {"task": "digits", "steps": steps, "checkpointEvery": 50} | more.pop("trainer", {}),
        "tensorboard": {"enabled": False},
        # The GPUs are simulated, and the trainer refuses to train without the GPUs of its job file.
        "env": [{"name": "TRAINER_GPUS_OPTIONAL", "value": "1"}],
        **{role: small | more.pop(role, {}) for role in roles},
    }
    if pause:
        values["trainer"] |= {"task": "paced:Paced", "hyperparameters": {"pause": pause}}
        values["code"] = {"files": {"paced.py": PACED}}
    if "evaluator" in more:
        values["evaluator"] = small | more.pop("evaluator")
    if gpus:
        values[roles[-1]]["gpus"] = gpus
    return values | more


@dataclass
class Team:
    """One namespace, private to a scenario."""

    kube: Kube
    name: str
    folder: Path
    timings: dict[str, float] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    """Measured values with their units, in addition to the times."""

    def create(self) -> None:
        """Create the namespace with restricted Pod Security, its claim, and a pod that can read the claim."""
        labels = {LABEL: "yes", "pod-security.kubernetes.io/enforce": "restricted"}
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        if self.kube.is_devcluster:
            self.kube.devcluster("claim", self.name, "runs")
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

    def add_pod(self, name: str, words: list[str], labels: dict[str, str] | None = None) -> None:
        """Start a pod that mounts the claim and belongs to no run."""
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
        if self.kube.is_devcluster:  # Scenarios drain and lose the second node.
            spec["nodeSelector"] = {"kubernetes.io/hostname": "node1"}
        metadata = {"name": name, "namespace": self.name, "labels": labels or {}}
        self.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def refuse_jobs(self) -> None:
        """Create a quota that refuses every Job."""
        self.kubectl("create", "quota", "jobs", "--hard=count/jobs.batch=0")

    def accept_jobs(self) -> None:
        """Delete the quota that refuses every Job."""
        self.kubectl("delete", "resourcequota", "jobs")

    def delete(self) -> None:
        """Delete the namespace and kill its pods at once."""
        self.kubectl("delete", "jobs,deployments", "--all", "--wait=false", "--cascade=orphan")
        self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")
        self.kube.kubectl("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")
        if self.kube.is_devcluster:
            self.kube.kubectl("delete", "persistentvolume", f"{self.name}-runs", "--wait=false", "--ignore-not-found")

    def kubectl(self, *words: str, given: str | None = None) -> str:
        return self.kube.kubectl("-n", self.name, *words, given=given)

    def install(
        self, run: str, values: Path | Object, *options: str, verb: str = "install", chart: Path = CHART
    ) -> float:
        """Run `helm install` like a user; return the time at the start."""
        file = values if isinstance(values, Path) else self.folder / f"{run}.yaml"
        if not isinstance(values, Path):
            file.write_text(json.dumps(values, indent=1))
        images = [f"image={self.kube.images['trainer']}", f"tensorboard.image={self.kube.images['tensorboard']}"]
        began = time.time()
        command(
            [find_helm(), verb, run, str(chart), "-n", self.name, "-f", str(file)]
            + [word for image in images for word in ("--set", image)]
            + list(options),
            env=self.kube.env,
        )
        return began

    def upgrade(self, run: str, values: Object, *options: str) -> float:
        """Run `helm upgrade` after a change of a mutable key; return the time at the start."""
        return self.install(run, values, *options, verb="upgrade")

    def pods(self, run: str, task: str = "") -> list[Object]:
        """Return the task pods of a run, or those of one task, the oldest first."""
        items = self.kube.get("-n", self.name, "pods", "-l", f"app.kubernetes.io/instance={run}")["items"]
        found = [pod for pod in items if role_of(pod) in ROLES and task in ("", task_of(pod))]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def pod(self, run: str, task: str) -> Object:
        """Wait until a pod of a task runs, and return the pod."""

        def running() -> Object | None:
            alive = [pod for pod in self.pods(run, task) if "deletionTimestamp" not in pod["metadata"]]
            return next((pod for pod in alive if pod["status"]["phase"] == "Running"), None)

        return self.wait(f"{task} of {run} to run", running)

    def jobs(self, run: str) -> dict[str, Object]:
        """Return the Jobs of a run by role."""
        items = self.kube.get("-n", self.name, "jobs", "-l", f"app.kubernetes.io/instance={run}")["items"]
        return {role_of(item): item for item in items}

    def hurry(self, run: str) -> None:
        """Let a run with a pause train at full speed."""
        self.kubectl("exec", "reader", "--", "touch", f"/runs/{run}/hurry")

    def read(self, path: str) -> str:
        """Return the content of a file of the claim, or an empty string if the file is missing."""
        try:
            return self.kubectl("exec", "reader", "--", "cat", f"/runs/{path}")
        except CommandError:
            return ""

    def status(self, run: str) -> Object:
        return dict(json.loads(self.read(f"{run}/status.json") or "{}"))

    def done(self, run: str) -> Object:
        return dict(json.loads(self.read(f"{run}/DONE") or "{}"))

    def log(self, run: str, task: str) -> str:
        """Return the logs of all existing pods of a task, each line with its time."""
        parts = []
        for pod in self.pods(run, task):
            if any("waiting" not in each["state"] for each in pod["status"].get("containerStatuses", [])):
                with contextlib.suppress(CommandError):  # The pod may be deleted meanwhile.
                    parts.append(self.kubectl("logs", pod["metadata"]["name"], "--timestamps"))
        return "".join(parts)

    def exec_until_killed(self, pod: str, script: str) -> None:
        """Run a script that kills its pod."""
        with contextlib.suppress(CommandError):
            self.kubectl("exec", pod, "--", "sh", "-c", script)

    def gpus_held(self, run: str) -> int:
        """Return the number of GPUs that the pods of a run hold; a pod that has ended holds none."""
        items = self.kube.get("-n", self.name, "pods", "-l", f"app.kubernetes.io/instance={run}")["items"]
        return sum(
            int(container["resources"].get("requests", {}).get(GPU, 0))
            for pod in items
            if pod["status"]["phase"] not in ("Succeeded", "Failed") and "nodeName" in pod["spec"]
            for container in pod["spec"]["containers"]
        )

    def wait(self, what: str, probe: Callable[[], T | None], seconds: float = PATIENCE) -> T:
        """Return the first true result of `probe`; after `seconds`, fail with a report of the namespace."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := probe():
                return found
            time.sleep(POLL)
        raise AssertionError(f"Timed out after {seconds:g} s: {what}\n{self.report()}")

    def after_step(self, run: str, step: int, seconds: float = PATIENCE) -> int:
        """Wait until the run is past a step; return its current step."""
        return self.wait(f"{run} to be past step {step}", lambda: self._past(run, step), seconds)

    def _past(self, run: str, step: int) -> int | None:
        status = self.status(run)
        assert status.get("state") != "failed", f"{run} failed: {status}\n{self.report()}"
        now = int(status.get("step") or 0)
        return now if now > step and status.get("state") in ("running", "done") else None

    def saved(self, run: str, step: int = 0) -> int:
        """Wait for a checkpoint after a step; return the step of the checkpoint."""

        def newer() -> int | None:
            found = int((self.status(run).get("lastCheckpoint") or {"step": 0})["step"])
            return found if found > step else None

        return self.wait(f"a checkpoint of {run} after step {step}", newer)

    def over(self, run: str, *roles: str) -> dict[str, str] | None:
        """Return the end of each Job of `roles` (default: all roles), or None while a Job or pod is active."""
        found = self.kube.get("-n", self.name, "jobs,pods", "-l", f"app.kubernetes.io/instance={run}")["items"]
        wanted = [item for item in found if role_of(item) in (roles or ROLES)]
        jobs = {role_of(item): finished(item) for item in wanted if item["kind"] == "Job"}
        pods = [item["status"]["phase"] for item in wanted if item["kind"] == "Pod"]
        ended = all(phase in ("Succeeded", "Failed") for phase in pods)
        return dict(sorted(jobs.items())) if jobs and all(jobs.values()) and ended else None

    def codes(self, run: str) -> dict[str, list[int | str]]:
        """Return the exit codes by task: of each existing pod, the oldest first, or its reason without an exit code."""
        codes: dict[str, list[int | str]] = {}
        for pod in self.pods(run):
            codes.setdefault(task_of(pod), []).append(exit_of(pod))
        return dict(sorted(codes.items()))

    def end(self, run: str, seconds: float = PATIENCE) -> End:
        """Wait until every Job of a run is finished and no pod runs; return the end of the run."""
        jobs = self.wait(f"end of {run}", lambda: self.over(run), seconds)
        assert self.gpus_held(run) == 0, f"GPUs are held after the end of {run}\n{self.report()}"
        return End(jobs, self.codes(run))

    def tfd(self, name: str, run: str, *words: str) -> str:
        """Return the output of `tfd NAME RUN`."""
        return command([sys.executable, "-m", "tfd", name, run, "-n", self.name, *words], env=self.kube.env)

    def tfd_status(self, run: str) -> Object:
        return dict(json.loads(self.tfd("status", run, "--json")))

    def objects(self, run: str, kinds: str) -> list[str]:
        """Return KIND/NAME of the existing objects of a run."""
        items = self.kube.get("-n", self.name, kinds, "-l", f"app.kubernetes.io/instance={run}")["items"]
        return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in items)

    def uninstall(self, run: str) -> None:
        command([find_helm(), "uninstall", run, "-n", self.name], env=self.kube.env)

    def report(self) -> str:
        """Return Jobs, pods, events and logs of the namespace, for the message of a failure."""
        parts, ours = [], ("-l", "app.kubernetes.io/name in (tf-distributed, workbench)")
        for words in (
            ["get", "jobs,pods", "-o", "wide"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["describe", "pods", *ours],
        ):
            parts.append(f"== kubectl {' '.join(words)}\n{self._attempt(*words)}")
        names = self._attempt("get", "pods", "-o", "name", *ours).split()
        for name in names[:MOST_LOGS]:
            parts.append(f"== end of the log of {name}\n{self._attempt('logs', name, '--tail=40')}")
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
    """Return `Complete` or the reason of the failure of a Job; an empty string while the Job is active."""
    for condition in item["status"].get("conditions", []):
        if condition["status"] == "True" and condition["type"] == "Complete":
            return "Complete"
        if condition["status"] == "True" and condition["type"] == "Failed":
            return str(condition["reason"])
    return ""


def condition(pod: Object, kind: str) -> Object:
    """Return the condition of a pod by type, or an empty mapping."""
    return next((each for each in pod["status"].get("conditions", []) if each["type"] == kind), {})


def when(log: str, pattern: str, after: float = 0.0) -> float:
    """Return the time of the first line that matches, in seconds since 1970; 0 without a match."""
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", stamp)).timestamp()
        if moment > after and re.search(pattern, text):
            return moment
    return 0.0
