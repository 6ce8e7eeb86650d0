"""What Helm renders a job file to, and what a reviewer wants to read off it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tfd.jobfile import helm_yaml
from tfd.review.sources.quantities import quantity

Object = dict[str, Any]

# All that Kubernetes lets change in the spec of a live Job.
_NOISE = ("# Source: ", "tf-distributed.github.io/hash: ")
MUTABLE = frozenset(["suspend", "parallelism", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"])


@dataclass(frozen=True)
class Need:
    """What pods ask for: GPUs (every DOMAIN/NAME resource), CPUs, bytes of memory, GPU-hours until the deadline."""

    gpus: int = 0
    cpus: float = 0
    memory: float = 0
    gpu_hours: float = 0

    def __add__(self, other: Need) -> Need:
        return Need(
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
        """The Jobs, chief first."""
        order = ("chief", "ps", "worker", "evaluator")
        return sorted((o for o in self.objects if o["kind"] == "Job"), key=lambda job: order.index(_role_name(job)))

    @property
    def roles(self) -> list[Role]:
        """The roles with tasks."""
        return [Role(_role_name(job), job["spec"]["completions"], _need(job).gpus) for job in self.jobs]

    @property
    def hours(self) -> float:
        """The longest that a Job may run."""
        return max((job["spec"]["activeDeadlineSeconds"] / 3600 for job in self.jobs), default=0)

    @property
    def need(self) -> Need:
        """What all pods of the run ask for together, TensorBoard's too."""
        total = Need()
        for item in self.objects:
            if item["kind"] == "Job":
                one, count = _need(item), item["spec"]["parallelism"]
                hours = item["spec"]["activeDeadlineSeconds"] / 3600
                total += Need(one.gpus * count, one.cpus * count, one.memory * count, one.gpus * count * hours)
            elif item["kind"] == "Deployment":
                total += _need(item)
        return total

    @property
    def immutable(self) -> dict[str, Any]:
        """What Kubernetes lets nobody change, by object."""
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
        """Yield the first task of each role and its TF_CONFIG as the kubelet puts it together."""
        for job in self.jobs:
            [container] = job["spec"]["template"]["spec"]["containers"]
            [text] = [item["value"] for item in container["env"] if item["name"] == "TF_CONFIG"]
            filled = text.replace("$(TF_CLUSTER)", self._config_map["cluster"]).replace("$(TASK_INDEX)", "0")
            yield f"{_role_name(job)}-0", filled

    def documents(self) -> dict[str, list[str]]:
        """Return the lines of each object, by KIND/NAME, without the hash that stands in every one of them."""
        found = {}
        for text, item in zip(re.split(r"^---\n", self.text, flags=re.M)[1:], self.objects, strict=True):
            lines = [line for line in text.splitlines() if not line.strip().startswith(_NOISE)]
            found[f"{item['kind']}/{item['metadata']['name']}"] = lines
        return found


def _role_name(job: Object) -> str:
    return str(job["metadata"]["labels"]["app.kubernetes.io/component"])


def _need(workload: Object) -> Need:
    """Return what one pod asks for. What has a limit only is a request of as much."""
    total = Need()
    for container in workload["spec"]["template"]["spec"]["containers"]:
        resources = container.get("resources", {})
        asked = resources.get("limits", {}) | resources.get("requests", {})
        total += Need(
            gpus=sum(int(value) for name, value in asked.items() if "/" in name),
            cpus=quantity(asked.get("cpu", "0")),
            memory=quantity(asked.get("memory", "0")),
        )
    return total
