"""The rules of review.yaml that limit what one run or all runs of a team request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfd.jobfile.helm_yaml import Key
from tfd.review.sources.quantities import decimal, gibibytes
from tfd.review.sources.workloads import ResourceRequest


@dataclass(frozen=True)
class Limit:
    """A rule with a maximum."""

    amount: Callable[[ResourceRequest], float]
    shown: Callable[[float], str]
    """An amount in words."""
    fix: str = "Set fewer tasks or fewer resources for each task."
    expected: str = "in one {}"
    """Where the maximum applies, after "at most 64 GPUs"; `{}` is a run or a workbench."""
    key: Key = ()
    """The key that a violation names."""


def _count(noun: str) -> Callable[[float], str]:
    return lambda value: f"{decimal(value)} {noun}"


def _bytes(noun: str) -> Callable[[float], str]:
    return lambda value: f"{gibibytes(value)} of {noun}"


_ARCHIVE = "Archive finished runs or request less."
PER_RUN = {
    "gpusPerRun": Limit(
        lambda request: request.gpus, _count("GPUs"), "Set fewer tasks or fewer GPUs for each task."
    ),
    "gpuHours": Limit(
        lambda request: request.gpu_hours, _count("GPU-hours"),
        "Set a shorter deadline or fewer GPUs, or ask for an approval.", "without a second approval", ("deadline",),
    ),
    "cpusPerRun": Limit(lambda request: request.cpus, _count("CPUs")),
    "memoryPerRun": Limit(lambda request: request.memory, _bytes("memory")),
    "storagePerRun": Limit(lambda request: request.storage, _bytes("storage"), "Set a smaller size.", key=("storage",)),
    "podsPerRun": Limit(lambda request: request.pods, _count("pods"), "Set fewer tasks."),
}  # fmt: skip
PER_TEAM = {
    "gpusPerTeam": Limit(
        lambda request: request.gpus, _count("GPUs"), "Archive finished runs or request fewer GPUs."
    ),
    "cpusPerTeam": Limit(lambda request: request.cpus, _count("CPUs"), _ARCHIVE),
    "memoryPerTeam": Limit(lambda request: request.memory, _bytes("memory"), _ARCHIVE),
    "storagePerTeam": Limit(
        lambda request: request.storage, _bytes("storage"), "Delete claims and files of old runs or request less."
    ),
    "podsPerTeam": Limit(lambda request: request.pods, _count("pods"), _ARCHIVE),
}  # fmt: skip
