"""The number of threads of TensorFlow.

TensorFlow itself respects the CPU affinity of the process, but ignores the CPU quota of the container.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
INTRA = "TF_NUM_INTRAOP_THREADS"
INTER = "TF_NUM_INTEROP_THREADS"
_MIN_INTER = 2  # With one inter-op thread, a ParameterServer worker blocks indefinitely at its first step.


def cgroup_quota(root: Path = CGROUPS, own: Path = OWN_GROUPS) -> float | None:
    """Return the CPU quota in CPUs (cgroup v2 `cpu.max`, or else v1 `cpu.cfs_*`), or None without a quota.

    The result is the smallest quota of this process's group and its parent groups. In a container, the group of the
    process is `root`. The path in `own` may then exist only outside the container.

    Args:
        root: The folder of the cgroup file system.
        own: The file /proc/self/cgroup.

    """
    groups = _own_groups(own)
    v2 = [quota for folder in _upwards(root, groups.get("", "/")) if (quota := _quota_v2(folder))]
    v1 = [quota for folder in _upwards(root / "cpu", groups.get("cpu", "/")) if (quota := _quota_v1(folder))]
    return min(v2 or v1, default=None)


def _own_groups(own: Path) -> dict[str, str]:
    """Return controller -> path of this process's group. The controller of cgroup v2 is the empty string."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _upwards(root: Path, path: str) -> list[Path]:
    """Return the folder of the group `path` and the folders of its parent groups, up to `root`."""
    folder = root / path.lstrip("/")
    return [folder, *(each for each in folder.parents if each.is_relative_to(root))]


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return _cpus(quota, period)


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
    except OSError:
        return None
    return _cpus(quota, period)


def _cpus(quota: str, period: str) -> float | None:
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no quota
        return None
    return cpus if cpus > 0 else None


def available_cpus(root: Path = CGROUPS, own: Path = OWN_GROUPS) -> int:
    """Return the number of CPUs for this process: the smaller of affinity and quota, rounded up, at least 1."""
    # macOS has no affinity.
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(root, own)
    return max(1, min(affinity, math.ceil(quota))) if quota else max(1, affinity)


def configure(env: MutableMapping[str, str], cpus: int) -> None:
    """Set TensorFlow's numbers of threads in `env` for `cpus` CPUs, unless the user has set them.

    Call this before TensorFlow is imported.
    """
    env.setdefault(INTRA, str(cpus))
    env.setdefault(INTER, str(max(_MIN_INTER, cpus)))


def environment() -> Mapping[str, str]:
    """Set the variables that TensorFlow reads at its import; return the environment of this process."""
    configure(os.environ, available_cpus())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Otherwise the first process on a GPU reserves all of its memory.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return os.environ
