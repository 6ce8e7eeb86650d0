"""The objects that Helm renders for a job file, and the facts that a reviewer needs from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tfd.jobfile import helm
from tfd.kubernetes import QUEUE_LABEL, QUEUED, Object, role_of
from tfd.quantities import quantity
from tfd.review.sources.workloads import ResourceRequest, Workload, workloads

# Lines that differ between any two runs.
_NOISE = ("# Source: ", "tf-distributed.github.io/hash: ")
# The only fields that Kubernetes allows to change in the spec of an active Job.
MUTABLE = frozenset(["suspend", "parallelism", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"])


@dataclass(frozen=True)
class Role:
    """The tasks of one role."""

    name: str
    tasks: int
    gpus_per_task: int
    least: int
    """The tasks without which the run does not start: all of them, unless the run is elastic."""
    is_elastic: bool
    """Whether the tasks may come and go while the run trains."""


@dataclass(frozen=True)
class Rendering:
    """The text that `helm template` printed for one job file."""

    text: str
    parsed: list[Object] | None = field(default=None, compare=False, repr=False)
    """The objects in the text, if they are known."""

    @cached_property
    def objects(self) -> list[Object]:
        """The Kubernetes objects."""
        return helm.objects(self.text) if self.parsed is None else self.parsed

    @cached_property
    def record(self) -> Object:
        """The run record: run, hash, identity; empty for a workbench, which has none."""
        loaded: Object = json.loads(self._config_map.get("run.json", "{}"))
        return loaded

    @property
    def identity(self) -> Object:
        """The identity in the run record: what is trained."""
        identity: Object = self.record.get("identity", {})
        return identity

    @property
    def _config_map(self) -> dict[str, str]:
        found = (o["data"] for o in self.objects if o["kind"] == "ConfigMap" and "run.json" in o["data"])
        return dict(next(found, {}))

    @property
    def jobs(self) -> list[Object]:
        """The Kubernetes Jobs, chief first."""
        jobs = (item for item in self.objects if item["kind"] == "Job")
        return sorted(jobs, key=lambda job: QUEUED.index(role_of(job)))

    @cached_property
    def workloads(self) -> list[Workload]:
        """Every pod template: of Jobs, Deployments and any other kind."""
        return list(workloads(self.objects))

    @property
    def roles(self) -> list[Role]:
        """The roles that have tasks; a workbench has one."""
        per_pod = {each.owner["metadata"]["name"]: each.gpus_per_pod for each in self.workloads}
        found = []
        for job in self.jobs:
            tasks, least = int(job["spec"].get("completions", 1)), _least(job)
            gpus = per_pod[job["metadata"]["name"]]
            found.append(Role(role_of(job), tasks, gpus, tasks if least is None else least, least is not None))
        return found

    @property
    def queues(self) -> set[str]:
        """The queues of Kueue in which its pods wait, without TensorBoard; an empty text if a pod waits in none."""
        return {each.queue_label(QUEUE_LABEL) for each in self.workloads if each.component in QUEUED}

    @property
    def hours(self) -> float:
        """The longest deadline of a Kubernetes Job, in hours; 0 without one."""
        return max((job["spec"].get("activeDeadlineSeconds", 0) / 3600 for job in self.jobs), default=0)

    @cached_property
    def request(self) -> ResourceRequest:
        """The sum over all pods and new claims of the run; pods of a suspended Job count, too."""
        return sum((each.request for each in self.workloads), start=self._claims)

    @cached_property
    def running(self) -> ResourceRequest:
        """The sum over the pods that exist after the merge, and new claims: those of a suspended Job do not."""
        return sum((each.request for each in self.workloads if not each.suspended), start=self._claims)

    @property
    def _claims(self) -> ResourceRequest:
        claims = (item for item in self.objects if item["kind"] == "PersistentVolumeClaim")
        return ResourceRequest(storage=sum(quantity(c["spec"]["resources"]["requests"]["storage"]) for c in claims))

    @property
    def immutable(self) -> dict[str, Any]:
        """The parts that Kubernetes does not allow to change, by object."""
        found: dict[str, Any] = {}
        for item in self.objects:
            name = f"{item['kind']}/{item['metadata']['name']}"
            if item["kind"] == "Job":
                found[name] = {key: value for key, value in item["spec"].items() if key not in MUTABLE}
            elif item["kind"] == "ConfigMap":
                found[name] = item["data"]
            elif item["kind"] in ("PersistentVolumeClaim", "PodGroup"):
                found[name] = item["spec"]
            elif item["kind"] == "Workload":
                found[name] = item["spec"]["podSets"]
            elif item["kind"] == "Deployment":
                found[name] = item["spec"]["selector"]
        return found

    @property
    def cluster(self) -> str:
        """The list of all tasks, as the chart writes it; empty for a run without tasks."""
        return self._config_map.get("cluster", "{}")

    def tf_config(self) -> Iterator[tuple[str, str]]:
        """Yield the first task of each role and its TF_CONFIG as the kubelet assembles it; nothing for a workbench."""
        for job in self.jobs if self.record else ():
            [container] = job["spec"]["template"]["spec"]["containers"]
            [text] = [item["value"] for item in container["env"] if item["name"] == "TF_CONFIG"]
            filled = text.replace("$(TF_CLUSTER)", self._config_map["cluster"]).replace("$(TASK_INDEX)", "0")
            yield f"{role_of(job)}-0", filled

    def documents(self) -> dict[str, list[str]]:
        """Return the lines of each object, by KIND/NAME, without the hash, which is in each of them."""
        found = {}
        for text, item in zip(re.split(r"^---\n", self.text, flags=re.M)[1:], self.objects, strict=True):
            lines = [line for line in text.splitlines() if not line.strip().startswith(_NOISE)]
            found[f"{item['kind']}/{item['metadata']['name']}"] = lines
        return found


def _least(job: Object) -> int | None:
    """Return the number of workers that start an elastic run; None for other Jobs."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    values = [
        str(each.get("value", "")) for each in container.get("env") or [] if each["name"] == "TRAINER_MIN_WORKERS"
    ]
    return int(values[0]) if values and values[0].isdecimal() and role_of(job) == "worker" else None
