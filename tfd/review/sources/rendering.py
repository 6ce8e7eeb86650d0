"""The objects that Helm renders for a job file, and the facts that a reviewer needs from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.kubernetes import ROLES, Object, gpus, role_of
from tfd.review.sources.quantities import quantity

# Lines that differ between any two runs.
_NOISE = ("# Source: ", "tf-distributed.github.io/hash: ")
# The only fields that Kubernetes allows to change in the spec of an active Job.
MUTABLE = frozenset(["suspend", "parallelism", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"])


@dataclass(frozen=True)
class ResourceRequest:
    """What pods request: GPUs, CPUs, bytes of memory, and GPU-hours until the deadline."""

    gpus: int = 0
    cpus: float = 0
    memory: float = 0
    gpu_hours: float = 0

    def __add__(self, other: ResourceRequest) -> ResourceRequest:
        return ResourceRequest(
            self.gpus + other.gpus,
            self.cpus + other.cpus,
            self.memory + other.memory,
            self.gpu_hours + other.gpu_hours,
        )


@dataclass(frozen=True)
class Role:
    """The tasks of one role."""

    name: str
    tasks: int
    gpus_per_task: int


@dataclass(frozen=True)
class Rendering:
    """The text that `helm template` printed for one job file."""

    text: str

    @cached_property
    def objects(self) -> list[Object]:
        """The Kubernetes objects."""
        return helm_yaml.load_all(self.text)

    @cached_property
    def record(self) -> Object:
        """The run record: run, hash, identity."""
        loaded: Object = json.loads(self._config_map["run.json"])
        return loaded

    @property
    def _config_map(self) -> dict[str, str]:
        [data] = [o["data"] for o in self.objects if o["kind"] == "ConfigMap" and "run.json" in o["data"]]
        return dict(data)

    @property
    def jobs(self) -> list[Object]:
        """The Kubernetes Jobs, chief first."""
        jobs = (item for item in self.objects if item["kind"] == "Job")
        return sorted(jobs, key=lambda job: ROLES.index(role_of(job)))

    @property
    def roles(self) -> list[Role]:
        """The roles that have tasks."""
        return [Role(role_of(job), job["spec"]["completions"], _request(job).gpus) for job in self.jobs]

    @property
    def hours(self) -> float:
        """The longest deadline of a Kubernetes Job, in hours."""
        return max((job["spec"]["activeDeadlineSeconds"] / 3600 for job in self.jobs), default=0)

    @property
    def request(self) -> ResourceRequest:
        """The sum over all pods of the run, including TensorBoard."""
        total = ResourceRequest()
        for item in self.objects:
            if item["kind"] == "Job":
                one, count = _request(item), item["spec"]["parallelism"]
                hours = item["spec"]["activeDeadlineSeconds"] / 3600
                total += ResourceRequest(
                    one.gpus * count, one.cpus * count, one.memory * count, one.gpus * count * hours
                )
            elif item["kind"] == "Deployment":
                total += _request(item)
        return total

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
            elif item["kind"] == "Deployment":
                found[name] = item["spec"]["selector"]
        return found

    def tf_config(self) -> Iterator[tuple[str, str]]:
        """Yield the first task of each role and its TF_CONFIG as the kubelet assembles it."""
        for job in self.jobs:
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


def _request(workload: Object) -> ResourceRequest:
    """Return what one pod requests. Kubernetes takes a limit without a request as the request."""
    total = ResourceRequest()
    for container in workload["spec"]["template"]["spec"]["containers"]:
        resources = container.get("resources", {})
        requested = resources.get("limits", {}) | resources.get("requests", {})
        total += ResourceRequest(
            gpus=gpus(resources),
            cpus=quantity(requested.get("cpu", "0")),
            memory=quantity(requested.get("memory", "0")),
        )
    return total
