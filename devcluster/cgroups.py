"""Control groups: one parent group for the pods of each node."""

from __future__ import annotations

from pathlib import Path

from devcluster.shell import wait_for

TOP = "tf-distributed"
MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def hierarchies() -> list[Path]:
    """Return the root folders: one with cgroup v2, one for each controller with v1."""
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    return sorted(path for path in MOUNT.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink())


def create(node: str) -> str:
    """Create a node's group in every hierarchy and return its name in the form of the kubelet's `cgroupRoot`."""
    for root in hierarchies():
        for group in (root / TOP, root / TOP / node):
            delegate(group.parent)
            group.mkdir(exist_ok=True)
            inherit(group)
    return f"/{TOP}/{node}"


def delegate(parent: Path) -> None:
    """With v2, enable the controllers of `parent` for its children."""
    if not (parent / "cgroup.subtree_control").exists():
        return
    for controller in (parent / "cgroup.controllers").read_text().split():
        if controller in CONTROLLERS:
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def inherit(group: Path) -> None:
    """With v1, copy CPUs and memory nodes from the parent: a new cpuset is empty and accepts no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (
            (group / name).exists()
            and not (group / "cgroup.controllers").exists()
            and not (group / name).read_text().strip()
        ):
            (group / name).write_text((group.parent / name).read_text())


def remove(node: str = "") -> None:
    """Remove the groups of a node, or all groups; wait until their killed processes have ended."""

    def removed() -> bool:
        left = [root / TOP / node for root in hierarchies() if (root / TOP / node).exists()]
        for top in left:
            for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                remove_if_empty(group)
            remove_if_empty(top)
        return not any(top.exists() for top in left)

    wait_for("the removal of control groups", removed, 20)


def remove_if_empty(group: Path) -> None:
    """Remove one group unless a process is in it."""
    try:
        group.rmdir()
    except OSError:  # The group is busy; the caller tries again.
        return
