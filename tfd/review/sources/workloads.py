"""The pods that the rendered objects of a run create, whatever the kind of the object, and what they request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from tfd.kubernetes import KUEUE, Object, component_of
from tfd.quantities import quantity

Container = dict[str, Any]

# `$$` is a dollar sign. `$(NAME)` is a variable that stands above, and stays as it is without one.
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


@dataclass(frozen=True)
class ResourceRequest:
    """What pods request.

    The fields are GPUs, CPUs, bytes of memory, GPU-hours until the deadline, pods, bytes of storage, and GPUs of pods
    without a deadline. Storage is that of new claims and of the disks of nodes.
    """

    gpus: int = 0
    cpus: float = 0
    memory: float = 0
    gpu_hours: float = 0
    pods: int = 0
    storage: float = 0
    endless_gpus: int = 0

    def __add__(self, other: ResourceRequest) -> ResourceRequest:
        return ResourceRequest(
            **{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        )

    def __mul__(self, number: int) -> ResourceRequest:
        return ResourceRequest(**{each.name: getattr(self, each.name) * number for each in fields(self)})

    def __sub__(self, other: ResourceRequest) -> ResourceRequest:
        return ResourceRequest(
            **{each.name: getattr(self, each.name) - getattr(other, each.name) for each in fields(self)}
        )


@dataclass(frozen=True)
class Workload:
    """A pod template in a rendered object."""

    owner: Object
    """The object that creates the pods."""
    labels: dict[str, str]
    """The labels of the pods."""
    annotations: dict[str, str]
    """The annotations of the pods."""
    spec: dict[str, Any]
    """The spec of the pods."""
    pods: int
    """Pods that exist at the same time, unless the owner is suspended."""
    seconds: float | None
    """The deadline; None for pods that run until somebody deletes them."""

    @property
    def component(self) -> str:
        """The role of the pods, `tensorboard` or `workbench`; the kind of an object without labels of these."""
        return component_of(self.labels, str(self.owner["kind"]))

    def queue_label(self, name: str) -> str:
        """Return a label for Kueue of the pods, or of their owner; empty without one."""
        return str(self.labels.get(name) or self.owner["metadata"].get("labels", {}).get(name, ""))

    @property
    def suspended(self) -> bool:
        """Whether the owner creates no pods for now."""
        return bool(self.owner.get("spec", {}).get("suspend"))

    @property
    def init_containers(self) -> list[Container]:
        """The containers that run before the others."""
        return list(self.spec.get("initContainers") or [])

    @property
    def containers(self) -> list[Container]:
        """All containers, those that run first included."""
        return [*self.init_containers, *self.spec["containers"], *(self.spec.get("ephemeralContainers") or [])]

    @cached_property
    def request(self) -> ResourceRequest:
        """What all pods request together."""
        one = self.amounts()
        gpus = sum(int(amount) for name, amount in one.items() if "/" in name) * self.pods
        return ResourceRequest(
            gpus=gpus,
            cpus=one.get("cpu", 0) * self.pods,
            memory=one.get("memory", 0) * self.pods,
            gpu_hours=gpus * (self.seconds or 0) / 3600,
            pods=self.pods,
            storage=one.get("ephemeral-storage", 0) * self.pods,
            endless_gpus=gpus if self.seconds is None else 0,
        )

    @property
    def gpus_per_pod(self) -> int:
        """The GPUs of one pod; every resource with a domain in its name is a GPU."""
        return sum(int(amount) for name, amount in self.amounts().items() if "/" in name)

    def amounts(self) -> dict[str, float]:
        """Return the amount of each resource that one pod requests, as the scheduler computes it."""
        sidecars = [each for each in self.init_containers if each.get("restartPolicy") == "Always"]
        together: dict[str, float] = {}
        for container in [*self.spec["containers"], *sidecars]:
            for name, amount in _requested(container).items():
                together[name] = together.get(name, 0) + amount
        for container in self.init_containers:
            for name, amount in _requested(container).items():
                together[name] = max(together.get(name, 0), amount)
        return together


def workloads(objects: list[Object]) -> Iterator[Workload]:
    """Yield every pod template of all objects, except of those that only describe the pods of others."""
    for item in objects:
        if item["kind"] == "Pod":
            yield _workload(item, item, item)
        elif item.get("apiVersion", "").partition("/")[0] != KUEUE:
            yield from _below(item, item, {})


def _below(value: Any, owner: Object, parent: dict[str, Any]) -> Iterator[Workload]:  # noqa: ANN401 - JSON
    """Yield the pod templates below a value: a Job and a Deployment have one, a CronJob one in its template."""
    if isinstance(value, dict):
        spec = value.get("spec")
        if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
            yield _workload(owner, value, parent)
        else:
            for child in value.values():
                yield from _below(child, owner, value)
    elif isinstance(value, list):
        for child in value:
            yield from _below(child, owner, parent)


def _workload(owner: Object, template: dict[str, Any], parent: dict[str, Any]) -> Workload:
    deadlines = [parent.get("activeDeadlineSeconds"), template["spec"].get("activeDeadlineSeconds")]
    return Workload(
        owner=owner,
        labels=(template.get("metadata") or {}).get("labels") or {},
        annotations=(template.get("metadata") or {}).get("annotations") or {},
        spec=template["spec"],
        pods=int(parent.get("parallelism", parent.get("replicas", 1))),
        seconds=min((float(each) for each in deadlines if each is not None), default=None),
    )


def expanded(container: Container) -> Container:
    """Return a container whose variables, command and arguments are expanded as the kubelet does.

    The chart limits how long they become. The values that a Secret or a ConfigMap holds are not known.
    """
    known: dict[str, str] = {}

    def text(written: object) -> str:
        return _REFERENCE.sub(lambda found: "$" if found[1] is None else known.get(found[1], found[0]), str(written))

    variables = []
    for variable in container.get("env") or []:
        if "value" in variable:
            variable = variable | {"value": text(variable["value"])}  # noqa: PLW2901 - a copy
            known[variable["name"]] = variable["value"]
        variables.append(variable)
    words = {key: [text(word) for word in container.get(key) or []] for key in ("command", "args")}
    return container | {"env": variables} | words


def _requested(container: Container) -> dict[str, float]:
    """Return what a container requests. Kubernetes takes a limit without a request as the request."""
    resources = container.get("resources") or {}
    requested = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(amount) for name, amount in requested.items()}
