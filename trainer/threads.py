"""How many threads TensorFlow may use: it sees the CPU affinity but not the container's CPU quota."""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

INTRA = "TF_NUM_INTRAOP_THREADS"
INTER = "TF_NUM_INTEROP_THREADS"
_MIN_INTER = 2  # with one inter-op thread a ParameterServer worker hangs for ever at its first step


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the CPU quota in CPUs (cgroup v2 `cpu.max`, else v1 `cpu.cfs_*`), or None when there is none.

    In a container `root` is the container's own group.
    """
    try:
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return None
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no quota
        return None
    return cpus if cpus > 0 else None


def available_cpus(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the whole CPUs this process may use: the smaller of affinity and quota, rounded up, at least 1."""
    affinity = len(os.sched_getaffinity(0))
    quota = cgroup_quota(root)
    return max(1, min(affinity, math.ceil(quota))) if quota else max(1, affinity)


def configure(env: MutableMapping[str, str], cpus: int) -> None:
    """Set TensorFlow's thread counts in `env` for `cpus` CPUs; what the user set stays. Call before its import."""
    env.setdefault(INTRA, str(cpus))
    env.setdefault(INTER, str(max(_MIN_INTER, cpus)))
