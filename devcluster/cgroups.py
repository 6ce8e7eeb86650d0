"""Control groups: a parent for each node's pods, and their removal."""

from __future__ import annotations

from pathlib import Path

from devcluster.shell import wait_for

TOP = "tf-distributed"
MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def hierarchies() -> list[Path]:
    """Return the roots: one with cgroup v2, one for each controller with v1."""
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    return sorted(path for path in MOUNT.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink())


def create(node: str) -> str:
    """Make a node's group in every hierarchy and return its name as the kubelet wants it."""
    for root in hierarchies():
        for group in (root / TOP, root / TOP / node):
            delegate(group.parent)
            group.mkdir(exist_ok=True)
            inherit(group)
    return f"/{TOP}/{node}"


def delegate(parent: Path) -> None:
    """With v2, let the children of `parent` have the controllers it has itself."""
    if not (parent / "cgroup.subtree_control").exists():
        return
    for controller in (parent / "cgroup.controllers").read_text().split():
        if controller in CONTROLLERS:
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def inherit(group: Path) -> None:
    """With v1, a new cpuset is empty and takes no process before it has CPUs and memory."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (
            (group / name).exists()
            and not (group / "cgroup.controllers").exists()
            and not (group / name).read_text().strip()
        ):
            (group / name).write_text((group.parent / name).read_text())


def remove(node: str = "") -> None:
    """Remove a node's groups, or all; what was in them has been killed and may take a moment to go."""

    def gone() -> bool:
        left = [root / TOP / node for root in hierarchies() if (root / TOP / node).exists()]
        for top in left:
            for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                attempt(group)
            attempt(top)
        return not any(top.exists() for top in left)

    wait_for("the removal of control groups", gone, 20)


def attempt(group: Path) -> None:
    """Remove one group if it is empty."""
    try:
        group.rmdir()
    except OSError:  # still busy: the caller tries again
        return
