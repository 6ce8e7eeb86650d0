"""What one run takes: code, images, Secrets, accounts, nodes, storage and network."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfd.jobfile.helm_yaml import Key
from tfd.review.sources.workloads import ResourceRequest


@dataclass(frozen=True, order=True)
class Right:
    """One thing that a run takes."""

    value: str
    where: str = ""
    """The container, variable, volume or role that has it."""
    key: Key = field(default=(), compare=False)
    """The key of the job file that sets it; empty where none is known."""


@dataclass(frozen=True)
class Rights:
    """What one run takes. Every tuple is sorted, and each thing is in it once."""

    code: tuple[Right, ...]
    """Commits as `REPOSITORY@COMMIT`."""
    repositories: tuple[Right, ...]
    """Addresses of git repositories, with the container that reads them."""
    code_files: tuple[Right, ...]
    """Names of files in the job file; `where` is the ConfigMap."""
    command: tuple[str, ...]
    """Command and arguments of the tasks; empty for the trainer without arguments. ENTRY_POINT is that of the image."""
    images: tuple[Right, ...]
    """Image of every container; `where` is the name of the container, or the role that has its own image."""
    secrets: tuple[Right, ...]
    """Names of Secrets; `where` is the variable or the volume that reads it, or imagePullSecrets."""
    tokens: tuple[Right, ...]
    """Secrets with the token of a workbench that have its name. Others are in `secrets`."""
    config_maps: tuple[Right, ...]
    """Names of ConfigMaps that the run does not create itself."""
    service_accounts: tuple[Right, ...]
    priority_classes: tuple[Right, ...]
    """Names; `where` is the role."""
    schedulers: tuple[Right, ...]
    """Names of schedulers other than the default; `where` is the role."""
    queues: tuple[Right, ...]
    """Queues of Kueue; `where` is the role."""
    queue_priorities: tuple[Right, ...]
    """Priorities in the queue; `where` is the role."""
    taints: tuple[Right, ...]
    """Tolerated taints as `KEY=VALUE`, `KEY` for every value, or `*` for every taint; `where` is the role."""
    nodes: tuple[Right, ...]
    """Node labels as `NAME=VALUE`; `where` is the role."""
    claims: tuple[Right, ...]
    """Claims that exist already; `where` is `reads` or `writes`."""
    new_claims: tuple[Right, ...]
    """Claims that the run creates; `where` is the size."""
    buckets: tuple[Right, ...]
    """Folders of buckets; `where` is the variable, `command`, `args` or `identity`; RUN_DIR is the storage."""
    warm_start: str
    """The run whose weights this run starts from, in the same storage."""
    incoming: tuple[Right, ...]
    """Who may reach the pods; `where` is the component. `anywhere` if no policy selects them."""
    outgoing: tuple[Right, ...]
    """What the pods may reach; `where` is the component. `anywhere` if no policy selects them."""
    egress: tuple[Right, ...]
    """Addresses that the job file adds to what the tasks may reach; `where` is the ports."""
    metrics_namespaces: tuple[Right, ...]
    """Namespaces whose pods may reach the pods of a run."""
    ingress_namespaces: tuple[Right, ...]
    """Namespaces whose pods may reach a workbench."""
    labels: tuple[Right, ...]
    """Names of the labels that the chart does not set itself; `where` is the value."""
    annotations: tuple[Right, ...]
    """The same for annotations, those of pods included."""
    request: ResourceRequest
    hours: float
    """The longest deadline of a Kubernetes Job; 0 without one."""
