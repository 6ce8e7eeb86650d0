"""The Kubernetes objects of a run: their labels, their roles and the GPUs that they request."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from tfd.quantities import quantity

Object = dict[str, Any]

ROLES = ("chief", "ps", "worker", "evaluator")
"""The roles that have tasks, in the order in which they are shown."""
TENSORBOARD = "tensorboard"
"""The component that is not a role: it shows the run and trains nothing."""

CLAIM_END = "-storage"
"""What the chart appends to the name of a run for the claim that it creates."""

TOKEN_END = "-workbench-token"  # noqa: S105 - the end of a name
"""What the chart of workbenches appends to the name of a workbench for the Secret with its token."""

LONGEST_RUN = 40
"""The most characters of the name of a run. The chart appends the role and the index of a task to it."""

WORKBENCH = "workbench"
"""The component of the pod of a workbench."""
QUEUED = (*ROLES, WORKBENCH)
"""The components whose pods wait in the queue of the team."""

_NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
COMPONENT_LABEL = "app.kubernetes.io/component"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
KUEUE = "kueue.x-k8s.io"
"""The API group of Kueue, whose objects describe pods and create none."""


ALL_RUNS = f"{_NAME_LABEL}=tf-distributed"
"""The label selector of all objects of all runs."""
OWNER_ANNOTATION = "tf-distributed.github.io/owner"
ENDED_ANNOTATION = "tf-distributed.github.io/ended"
"""On a Job: why the CronJob of argocd/ has ended it."""


def selector(run: str) -> str:
    """Return the label selector of all objects of a run."""
    return f"{ALL_RUNS},{INSTANCE_LABEL}={run}"


def workbench_selector(name: str) -> str:
    """Return the label selector of all objects of a workbench."""
    return f"{_NAME_LABEL}={WORKBENCH},{INSTANCE_LABEL}={name}"


def role_of(item: Object) -> str:
    """Return the role of a Kubernetes Job or of one of its pods; `tensorboard` for TensorBoard's objects."""
    return component_of(item["metadata"]["labels"])


def component_of(labels: Mapping[str, str], default: str = "") -> str:
    """Return the component that labels name; a workbench has no label of it, because it has one component."""
    return str(labels.get(COMPONENT_LABEL) or (WORKBENCH if labels.get(_NAME_LABEL) == WORKBENCH else default))


def condition(item: Object, kind: str) -> Object:
    """Return a condition of an object's status; empty if it has none of this type."""
    return next((each for each in item.get("status", {}).get("conditions", []) if each["type"] == kind), {})


def leader(roles: Container[str]) -> str:
    """Return the role, out of those that a run has, whose end is the end of the run."""
    return "chief" if "chief" in roles else "worker"


def gpus(resources: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the GPUs that a container requests.

    Extended resources have a domain in their name (`nvidia.com/gpu`): GPUs of any vendor are requested that way.
    Kubernetes takes the limit as the request where only the limit is set, and writes 1000 as `1k`.
    """
    requested = {**resources.get("limits", {}), **resources.get("requests", {})}
    return sum(int(quantity(count)) for name, count in requested.items() if "/" in name)
