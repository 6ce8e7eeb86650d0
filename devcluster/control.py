"""The control plane: etcd, apiserver, controller manager, scheduler, CoreDNS and an image registry."""

from __future__ import annotations

import json
from pathlib import Path

from devcluster import pki
from devcluster.kube import kubectl
from devcluster.namespaces import NamespaceSet
from devcluster.paths import API, CONTROL, DOMAIN, LINK, MACHINE, NODES, PODS, SERVICES, cache, state, write
from devcluster.shell import DevclusterError, log, run, wait_for

NAMESPACES = NamespaceSet("control")
GATES = "--feature-gates=GenericWorkload=true"  # Native gang scheduling: beta and off by default in 1.37.
CLIENTS = ("kube-controller-manager", "kube-scheduler")  # They exit if no apiserver answers within 10 s.
SECONDS_TO_START = 120  # Enough for a busy machine; usually a few seconds.


def up() -> None:
    """Start the parts of the control plane that do not run."""
    if NAMESPACES.init() is None:
        check_network()
        run(["ip", "link", "delete", LINK]) if linked() else None
        NAMESPACES.create(
            f"ip link add nodes type bridge; ip address add {CONTROL}/24 dev nodes; ip link set nodes up\n"
            "echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects"
        )
    if not linked():
        run(["ip", "link", "add", LINK, "type", "veth", "peer", "name", "machine", "netns", str(NAMESPACES.init())])
        run(["ip", "address", "add", f"{MACHINE}/24", "dev", LINK])
        run(["ip", "link", "set", LINK, "up"])
        NAMESPACES.call("ip link set machine master nodes up")
    start(*components())


def start(*names: str) -> None:
    """Start the named components that do not run."""
    for name, command in components().items():
        if name not in names:
            continue
        environment = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
        if NAMESPACES.start(name, command, environment):
            log(f"started {name}")


def components() -> dict[str, list[str | Path]]:
    """Return the command of each component."""
    programs, keys = state() / "bin", pki.folder()
    loopback = "http://127.0.0.1:2379"
    return {
        "etcd": [
            programs / "etcd", "--data-dir", state() / "etcd", "--unsafe-no-fsync", "--log-level=warn",
            "--listen-client-urls", loopback, "--advertise-client-urls", loopback,
            "--listen-peer-urls", "http://127.0.0.1:2380",
        ],
        "registry": [programs / "registry", "serve", registry_config()],
        "kube-apiserver": [
            programs / "kube-apiserver", f"--etcd-servers={loopback}", f"--advertise-address={CONTROL}",
            f"--tls-cert-file={keys}/apiserver.crt", f"--tls-private-key-file={keys}/apiserver.key",
            f"--client-ca-file={keys}/ca.crt", f"--service-account-key-file={keys}/sa.pub",
            f"--service-account-signing-key-file={keys}/sa.key",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-cluster-ip-range={SERVICES}.0/16", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
            # For logs, exec and port-forward: the names of nodes do not resolve.
            "--kubelet-preferred-address-types=InternalIP", f"--kubelet-certificate-authority={keys}/ca.crt",
            f"--kubelet-client-certificate={keys}/admin.crt", f"--kubelet-client-key={keys}/admin.key",
            "--default-not-ready-toleration-seconds=15", "--default-unreachable-toleration-seconds=15",
            "--runtime-config=scheduling.k8s.io/v1beta1=true", GATES,
        ],
        "kube-controller-manager": [
            programs / "kube-controller-manager", f"--kubeconfig={keys}/kube-controller-manager.kubeconfig",
            f"--service-account-private-key-file={keys}/sa.key", f"--root-ca-file={keys}/ca.crt",
            "--use-service-account-credentials=true", "--leader-elect=false", GATES,
            # A lost node is detected after 20 s instead of 50 s, because tests wait for it.
            "--node-monitor-period=2s", "--node-monitor-grace-period=20s",
        ],
        "kube-scheduler": [
            programs / "kube-scheduler", f"--kubeconfig={keys}/kube-scheduler.kubeconfig",
            "--leader-elect=false", GATES,
        ],
        "coredns": [programs / "coredns", "-conf", corefile()],
    }  # fmt: skip


def corefile() -> Path:
    """Write the configuration of CoreDNS; pods reach CoreDNS at the control plane's address."""
    kubeconfig = state() / "kubeconfig"
    return write(
        state() / "etc" / "Corefile",
        f".:53 {{\n  bind {CONTROL}\n  errors\n  kubernetes {DOMAIN} {PODS}.0.0/16 {{\n"
        f"    kubeconfig {kubeconfig} tf-distributed\n    ttl 5\n  }}\n  cache 5\n}}\n",
    )


def registry_config() -> Path:
    """Write the configuration of the registry; pushed images stay in the cache."""
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(cache() / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": f"{CONTROL}:5000"},
    }
    return write(state() / "etc" / "registry.yaml", json.dumps(config, indent=1))


def ready() -> None:
    """Wait until the apiserver answers."""

    def answers() -> bool:
        NAMESPACES.must_run("etcd", "kube-apiserver")
        return kubectl("get", "--raw", "/readyz") == "ok"

    wait_for(f"the apiserver at {API}", answers, SECONDS_TO_START, f"log: {NAMESPACES.folder}/kube-apiserver.log")
    log("the apiserver is ready")


def linked() -> bool:
    """Return whether this machine's end of the link to the node network exists."""
    return Path("/sys/class/net", LINK).exists()


def check_network() -> None:
    """Raise DevclusterError if this machine already has a route into the node network."""
    others = [
        line for line in run(["ip", "-4", "route"]).splitlines() if line.startswith(f"{NODES}.") and LINK not in line
    ]
    if others:
        raise DevclusterError(f"This machine already has a route into {NODES}.0/24: {others[0]}. Remove the route.")
