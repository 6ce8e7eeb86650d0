"""Nodes: each a kubelet, a kube-proxy and a containerd in namespaces of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from devcluster import cgroups, control, pki
from devcluster.kube import kubectl, kubectl_json
from devcluster.namespaces import Space
from devcluster.paths import CONTROL, DOMAIN, PODS, REGISTRY, Node, state, write
from devcluster.shell import run, say, wait_for

SECONDS_TO_START = 120
PAUSE = f"{REGISTRY}/pause:1.37.2"
CONTAINERD = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE a negative one is refused and no pod starts
  max_concurrent_downloads = 3
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{etc}/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{programs}"
    conf_dir = "{etc}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{programs}/runc"
"""
# What a kubelet sets for the whole machine. Read before, put back by `down`.
KERNEL = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def space(node: Node) -> Space:
    """Return the node's namespaces."""
    return Space(node.name)


def up(node: Node) -> None:
    """Start what does not run of a node."""
    here = space(node)
    if here.init() is None:
        here.create("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables")
        connect(node, here)
    for name, command in components(node).items():
        if here.start(name, command):
            say(f"started {name} of {node.name}")
        if name == "containerd":  # a kubelet that finds none leaves
            wait_for(f"containerd of {node.name}", lambda: listens(here), SECONDS_TO_START)


def listens(here: Space) -> bool:
    """Return whether containerd can be reached."""
    here.must_run("containerd")
    return Path(f"/proc/{here.init()}/root/run/containerd/containerd.sock").exists()


def connect(node: Node, here: Space) -> None:
    """Plug the node into the network of nodes, which is also the way to its pods."""
    hub, init = str(control.SPACE.init()), str(here.init())
    run(["ip", "link", "add", node.name, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", init])
    here.call(f"ip address add {node.address}/24 dev eth0; ip link set eth0 up; ip route add default via {CONTROL}")
    control.SPACE.call(f"ip link set {node.name} master nodes up; ip route replace {node.pods}.0/24 via {node.address}")


def components(node: Node) -> dict[str, list[str | Path]]:
    """Return the command of each component of a node."""
    programs = state() / "bin"
    proxy = pki.folder() / "kube-proxy.kubeconfig"
    return {
        "containerd": ["containerd", "--config", containerd_config(node), "--log-level", "warn"],
        "kubelet": [
            programs / "kubelet", f"--config={kubelet_config(node)}", f"--kubeconfig={pki.node(node)}",
            f"--hostname-override={node.name}", f"--node-ip={node.address}",
        ],
        "kube-proxy": [
            programs / "kube-proxy", f"--kubeconfig={proxy}", f"--hostname-override={node.name}",
            "--proxy-mode=nftables", f"--cluster-cidr={PODS}.0.0/16",
            # The table of connections belongs to the whole machine: leave it.
            "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
    }  # fmt: skip


def containerd_config(node: Node) -> Path:
    """Write containerd's configuration, the pod network and the way to the registry."""
    etc = node.home
    network = {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": f"{node.pods}.0/24", "rangeStart": f"{node.pods}.10"}]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    write(etc / "cni" / "10-pods.conflist", json.dumps(network, indent=1))
    server = f"http://{REGISTRY}"
    write(
        etc / "registries" / REGISTRY / "hosts.toml",
        f'server = "{server}"\n[host."{server}"]\n  capabilities = ["pull", "resolve"]\n',
    )
    config = CONTAINERD.format(pause=PAUSE, etc=etc, programs=state() / "bin")
    return write(etc / "containerd.toml", config)


def kubelet_config(node: Node) -> Path:
    """Write the kubelet's configuration and make the control group it puts pods in."""
    authority = pki.folder() / "ca.crt"
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki.folder() / f"{node.name}.crt"),
        "tlsPrivateKeyFile": str(pki.folder() / f"{node.name}.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.create(node.name),
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [CONTROL],
        "clusterDomain": DOMAIN,
        "resolvConf": "/dev/null",
        "serializeImagePulls": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
        "nodeLeaseDurationSeconds": 12,
        "nodeStatusUpdateFrequency": "4s",
    }
    return write(node.home / "kubelet.yaml", json.dumps(config, indent=1))


def ready(nodes: Iterable[Node]) -> None:
    """Wait until the nodes are Ready."""
    for node in nodes:
        here = space(node)

        def is_ready(node: Node = node, here: Space = here) -> bool:
            here.must_run("containerd", "kubelet")
            control.start(*control.CLIENTS)  # again, if the apiserver was slow
            found = kubectl_json("get", "node", node.name)
            tainted = any(each["key"] == "node.kubernetes.io/not-ready" for each in found["spec"].get("taints", []))
            said = found.get("status", {}).get("conditions", [])
            return not tainted and any(
                each["type"] == "Ready" and each["status"] == "True" and newer(each, here) for each in said
            )

        wait_for(f"{node.name} to be Ready", is_ready, SECONDS_TO_START, f"logs: {here.folder}")
        say(f"{node.name} is Ready")


def newer(condition: dict[str, str], here: Space) -> bool:
    """Return whether a condition was said by the kubelet that runs now, and not by one that is gone."""
    said = datetime.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return said >= int((here.folder / "kubelet.pid").stat().st_mtime)


def simulate_gpus(node: Node, number: int, resource: str = "nvidia.com/gpu") -> None:
    """Tell Kubernetes that the node has GPUs; nothing but the scheduler believes it."""
    amount = {resource: str(number)}
    kubectl(
        "patch", "node", node.name, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"capacity": amount, "allocatable": amount}}),
    )  # fmt: skip


def remember_kernel() -> None:
    """Keep the kernel's settings that kubelets change."""
    kept = state() / "kernel.json"
    if not kept.exists():
        values = {name: Path("/proc/sys", name).read_text().strip() for name in KERNEL}
        write(kept, json.dumps(values, indent=1))


def restore_kernel() -> None:
    """Put the kernel's settings back."""
    kept = state() / "kernel.json"
    for name, value in json.loads(kept.read_text() if kept.exists() else "{}").items():
        Path("/proc/sys", name).write_text(value)


def down(node: Node, forget: bool = False) -> None:
    """Lose a node: nothing of it runs any more; `forget` deletes its disk too."""
    space(node).destroy()
    cgroups.remove(node.name)
    if forget:
        shutil.rmtree(node.home, ignore_errors=True)
