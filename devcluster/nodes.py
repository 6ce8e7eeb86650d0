"""Nodes: each is a kubelet, a kube-proxy, a kube-router and a containerd in a separate set of namespaces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from devcluster import cgroups, control, pki
from devcluster.kube import kubectl, kubectl_json
from devcluster.namespaces import NamespaceSet
from devcluster.paths import CONTROL, DOMAIN, PODS, REGISTRY, SERVICES, Node, state, write
from devcluster.shell import log, run, wait_for

SECONDS_TO_START = 120
PUBLIC = "ghcr.io"
PAUSE = f"{REGISTRY}/pause:1.37.2"
CONTAINERD = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE the kernel refuses a negative score and no pod starts
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
# A kubelet sets these for the whole machine. They are saved before the start and restored by `down`.
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def namespaces_of(node: Node) -> NamespaceSet:
    """Return the node's namespaces."""
    return NamespaceSet(node.name)


def up(node: Node) -> None:
    """Start the parts of a node that do not run."""
    namespaces = namespaces_of(node)
    if namespaces.init() is None:
        namespaces.create("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables")
        connect(node, namespaces)
    for name, command in components(node).items():
        if namespaces.start(name, command):
            log(f"started {name} of {node.name}")
        if name == "containerd":  # A kubelet without a containerd exits.
            wait_for(f"containerd of {node.name}", lambda: listens(namespaces), SECONDS_TO_START)


def listens(namespaces: NamespaceSet) -> bool:
    """Return whether the socket of containerd exists."""
    namespaces.must_run("containerd")
    return Path(f"/proc/{namespaces.init()}/root/run/containerd/containerd.sock").exists()


def connect(node: Node, namespaces: NamespaceSet) -> None:
    """Connect the node to the node network and add the route to its pods."""
    hub, init = str(control.NAMESPACES.init()), str(namespaces.init())
    run(["ip", "link", "add", node.name, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", init])
    namespaces.call(
        f"ip address add {node.address}/24 dev eth0; ip link set eth0 up; ip route add default via {CONTROL}"
    )
    control.NAMESPACES.call(
        f"ip link set {node.name} master nodes up; ip route replace {node.pods}.0/24 via {node.address}"
    )


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
            # The conntrack table belongs to the whole machine, so kube-proxy must not change its limits.
            "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
    }  # fmt: skip


def enforce_network_policies(node: Node) -> None:
    """Start kube-router as the network policy engine of a registered node. It exits while the node is unknown."""
    command: list[str | Path] = [
        state() / "bin" / "kube-router", f"--kubeconfig={state()}/kubeconfig", f"--hostname-override={node.name}",
        # kube-proxy and the routes of `connect` do everything else.
        "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
        f"--service-cluster-ip-range={SERVICES}.0/16", "--metrics-port=0", "--health-port=0",
    ]  # fmt: skip
    if namespaces_of(node).start("kube-router", command):
        log(f"started kube-router of {node.name}")


def containerd_config(node: Node) -> Path:
    """Write the configuration of containerd, of the pod network and of the registry."""
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
    # A released image has the same path in the registry of the cluster as at its public address.
    write(
        etc / "registries" / PUBLIC / "hosts.toml",
        f'server = "https://{PUBLIC}"\n[host."{server}"]\n  capabilities = ["pull", "resolve"]\n',
    )
    config = CONTAINERD.format(pause=PAUSE, etc=etc, programs=state() / "bin")
    return write(etc / "containerd.toml", config)


def kubelet_config(node: Node) -> Path:
    """Write the configuration of the kubelet and create the control group of its pods."""
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
        namespaces = namespaces_of(node)

        def is_ready(node: Node = node, namespaces: NamespaceSet = namespaces) -> bool:
            namespaces.must_run("containerd", "kubelet")
            control.start(*control.CLIENTS)  # They exit while the apiserver is slow to start.
            found = kubectl_json("get", "node", node.name)
            tainted = any(each["key"] == "node.kubernetes.io/not-ready" for each in found["spec"].get("taints", []))
            conditions = found.get("status", {}).get("conditions", [])
            return not tainted and any(
                each["type"] == "Ready" and each["status"] == "True" and newer(each, namespaces) for each in conditions
            )

        wait_for(f"{node.name} to be Ready", is_ready, SECONDS_TO_START, f"logs: {namespaces.folder}")
        enforce_network_policies(node)
        log(f"{node.name} is Ready")


def newer(condition: dict[str, str], namespaces: NamespaceSet) -> bool:
    """Return whether the running kubelet reported a condition, and not a kubelet before it."""
    reported = datetime.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return reported >= int((namespaces.folder / "kubelet.pid").stat().st_mtime)


def simulate_gpus(node: Node, number: int, resource: str = "nvidia.com/gpu") -> None:
    """Add GPUs to the status of a node; only the scheduler counts them."""
    amount = {resource: str(number)}
    kubectl(
        "patch", "node", node.name, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"capacity": amount, "allocatable": amount}}),
    )  # fmt: skip


def save_kernel_settings() -> None:
    """Save the kernel settings that kubelets change."""
    saved = state() / "kernel.json"
    if not saved.exists():
        values = {name: Path("/proc/sys", name).read_text().strip() for name in KERNEL_SETTINGS}
        write(saved, json.dumps(values, indent=1))


def restore_kernel_settings() -> None:
    """Restore the kernel settings that kubelets change."""
    saved = state() / "kernel.json"
    for name, value in json.loads(saved.read_text() if saved.exists() else "{}").items():
        Path("/proc/sys", name).write_text(value)


def down(node: Node, forget: bool = False) -> None:
    """Kill every process of a node; `forget` also deletes its disk."""
    namespaces_of(node).destroy()
    cgroups.remove(node.name)
    if forget:
        shutil.rmtree(node.home, ignore_errors=True)
