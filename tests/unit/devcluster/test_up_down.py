"""The whole life of a cluster: start, repair, a lost node, and a stop that leaves nothing behind. Needs root."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.namespaces import NamespaceSet
from devcluster.nodes import KERNEL_SETTINGS
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


def devcluster(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devcluster", *words]
    done = subprocess.run(command, cwd=CHECKOUT, text=True, capture_output=True)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def kubectl(*words: str) -> str:
    command = [str(state() / "bin" / "kubectl"), "--kubeconfig", str(state() / "kubeconfig"), *words]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def snapshot() -> dict[str, object]:
    """Return everything that a cluster could leave behind."""
    seen: dict[str, object] = {" ".join(command): subprocess.check_output(command, text=True) for command in LISTS}
    seen["mounts"] = sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    seen["kernel"] = {name: Path("/proc/sys", name).read_text() for name in KERNEL_SETTINGS}
    seen["forwarding"] = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    processes = (path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm") if path.exists())
    seen["processes"] = sorted(name for name in processes if name.startswith(OURS))
    seen["folders"] = [path for path in ("/var/lib/kubelet", "/etc/cni", "/opt/cni", "/run/containerd", "/var/log/pods")
                       if Path(path).exists()]  # fmt: skip
    return seen


@pytest.fixture(scope="module")
def before() -> Iterator[dict[str, object]]:
    if NamespaceSet("control").init():
        pytest.skip("A cluster runs on this machine. Stop it with `make cluster-down`.")
    yield snapshot()
    devcluster("down")


def condition(node: str) -> str:
    found = json.loads(kubectl("get", "node", node, "-o", "json"))["status"]["conditions"]
    return next(str(each["status"]) for each in found if each["type"] == "Ready")


def wait_until(what: str, probe: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not probe():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_cluster_starts_is_repaired_loses_a_node_and_stops(before: dict[str, object]) -> None:
    devcluster("up", "--nodes", "2", "--gpus", "4", "--no-images")
    assert [condition(name) for name in ("node1", "node2")] == ["True", "True"]
    assert kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}") == "4 4"

    assert "started" not in devcluster("up", "--no-images").stderr

    # Kill some of the processes, like a machine that ends the leftovers of a session.
    for name in ("kube-apiserver", "kubelet"):
        namespaces = NamespaceSet("control" if name == "kube-apiserver" else "node1")
        os.kill(namespaces.running(name) or 0, 9)
        wait_until(f"end of {name}", lambda namespaces=namespaces, name=name: namespaces.running(name) is None, 10)
    assert "does not run" in devcluster("status", check=False).stdout
    devcluster("up", "--no-images")
    assert condition("node1") == "True"

    devcluster("node", "stop", "node2")
    wait_until("node2 is Unknown", lambda: condition("node2") == "Unknown", 60)
    # A controller manager that has just lost its apiserver may mark all nodes Unknown for a moment.
    wait_until("node1 is Ready", lambda: condition("node1") == "True", 60)
    devcluster("node", "start", "node2")
    assert condition("node2") == "True"
    assert kubectl("get", "node", "node2", "-o", "jsonpath={.status.allocatable.nvidia\\.com/gpu}") == "4"

    devcluster("down")
    assert snapshot() == before
    assert not state().exists()


def test_stop_after_a_kill_leaves_nothing_behind(before: dict[str, object]) -> None:
    devcluster("up", "--no-images")
    for namespaces in ("node1", "control"):
        os.kill(NamespaceSet(namespaces).init() or 0, 9)
    devcluster("down")
    assert snapshot() == before
