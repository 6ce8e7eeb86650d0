"""A cluster comes up, is repaired, loses a node and leaves nothing behind. Needs root."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.namespaces import Space
from devcluster.nodes import KERNEL
from devcluster.paths import CHECKOUT, state

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]
LISTS = (
    ["ip", "-o", "link"],
    ["ip", "-4", "route"],
    ["ip", "netns"],
    ["nft", "list", "ruleset"],
    ["sh", "-c", "find /sys/fs/cgroup -maxdepth 2 -type d | grep -v hugetlb | sort"],
)
OURS = ("containerd", "kubelet", "kube-", "etcd", "coredns", "hyperkube", "pause", "registry")


def cluster(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cluster", *words]
    done = subprocess.run(command, cwd=CHECKOUT, text=True, capture_output=True)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def kubectl(*words: str) -> str:
    command = [str(state() / "bin" / "kubectl"), "--kubeconfig", str(state() / "kubeconfig"), *words]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def snapshot() -> dict[str, object]:
    """All that a cluster could leave behind."""
    seen: dict[str, object] = {" ".join(command): subprocess.check_output(command, text=True) for command in LISTS}
    seen["mounts"] = sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    seen["kernel"] = {name: Path("/proc/sys", name).read_text() for name in KERNEL}
    seen["forwarding"] = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    processes = (path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm") if path.exists())
    seen["processes"] = sorted(name for name in processes if name.startswith(OURS))
    seen["folders"] = [path for path in ("/var/lib/kubelet", "/etc/cni", "/opt/cni", "/run/containerd", "/var/log/pods")
                       if Path(path).exists()]  # fmt: skip
    return seen


@pytest.fixture(scope="module")
def before() -> Iterator[dict[str, object]]:
    if Space("control").init():
        pytest.skip("a cluster runs on this machine: `make cluster-down` first")
    yield snapshot()
    cluster("down")


def condition(node: str) -> str:
    found = json.loads(kubectl("get", "node", node, "-o", "json"))["status"]["conditions"]
    return next(str(each["status"]) for each in found if each["type"] == "Ready")


def wait_until(what: str, probe: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not probe():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_up_repair_lose_a_node_and_down(before: dict[str, object]) -> None:
    cluster("up", "--nodes", "2", "--gpus", "4", "--no-images")
    assert [condition(name) for name in ("node1", "node2")] == ["True", "True"]
    assert kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}") == "4 4"

    assert "started" not in cluster("up", "--no-images").stderr

    # Half-killed, as by a machine that ends what a session left running.
    for name in ("kube-apiserver", "kubelet"):
        space = Space("control" if name == "kube-apiserver" else "node1")
        os.kill(space.running(name) or 0, 9)
        wait_until(f"the end of {name}", lambda space=space, name=name: space.running(name) is None, 10)
    assert "does not run" in cluster("status", check=False).stdout
    cluster("up", "--no-images")
    assert condition("node1") == "True"

    cluster("node", "stop", "node2")
    wait_until("node2 is seen to be lost", lambda: condition("node2") == "Unknown", 60)
    # A controller manager that has just lost its apiserver may take all nodes for lost, for a moment.
    wait_until("node1 is Ready", lambda: condition("node1") == "True", 60)
    cluster("node", "start", "node2")
    assert condition("node2") == "True"
    assert kubectl("get", "node", "node2", "-o", "jsonpath={.status.allocatable.nvidia\\.com/gpu}") == "4"

    cluster("down")
    assert snapshot() == before
    assert not state().exists()


def test_a_killed_cluster_leaves_no_more(before: dict[str, object]) -> None:
    cluster("up", "--no-images")
    for space in ("node1", "control"):
        os.kill(Space(space).init() or 0, 9)
    cluster("down")
    assert snapshot() == before
