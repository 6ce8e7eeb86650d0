"""Kueue as a process in the control plane's namespaces, for the namespaces that argocd/ labels for it.

Kueue's CRDs and webhooks come from its Go module. The webhooks see no other namespace, so that runs without a queue
start while Kueue is down.
"""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from devcluster import control, pki
from devcluster.build import binaries_of, link
from devcluster.kube import apply_server_side, kubectl
from devcluster.paths import CHECKOUT, CONTROL, state, write
from devcluster.shell import log, run, wait_for

Object = dict[str, Any]
NAMESPACE = "kueue-system"
MANAGED = {"matchLabels": {"kueue.x-k8s.io/managed-namespace": "true"}}
MODULE = "sigs.k8s.io/kueue"
GROUP = "kueue.x-k8s.io"
HOOKED = ("", "batch", GROUP)
"""API groups whose objects Kueue changes and checks here: pods, Jobs and its own."""
PORT = 9443
SECONDS_TO_START = 120
SECONDS_TO_BE_READY = 120
"""Kueue stops an admitted run whose pods are not all ready after this time. The scenarios wait for it."""


def up() -> None:
    """Start Kueue if it does not run, and wait until its webhooks answer."""
    [program] = binaries_of("kueue")
    link(state() / "bin" / "kueue", program)
    environment = {"KUBECONFIG": str(kubeconfig()), "TMPDIR": str(folder("tmp"))}
    if control.NAMESPACES.running("kueue") is None:
        install()
    if control.NAMESPACES.start("kueue", command(), environment):
        log("started kueue")
    wait_for("Kueue", answers, SECONDS_TO_START, f"log: {control.NAMESPACES.folder}/kueue.log")
    log("Kueue is ready")


def command() -> list[str]:
    """Return the command of Kueue.

    Kueue reads a certificate of its metrics from a fixed path below /etc, also without metrics. So it has its own /etc.
    """
    certificates("etc", "kueue", "metrics", "certs")
    script = f'mount --bind {shlex.quote(str(folder("etc")))} /etc; exec "$@"'
    program = [str(state() / "bin" / "kueue"), f"--config={config()}"]
    return ["unshare", "--mount", "sh", "-ec", script, "kueue", *program]


def answers() -> bool:
    """Return whether Kueue's webhooks answer."""
    control.NAMESPACES.must_run("kueue")
    flavor = {"apiVersion": f"{GROUP}/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "none"}, "spec": {}}
    return bool(kubectl("create", "--dry-run=server", "-f", "-", "-o", "name", stdin=json.dumps(flavor)))


def config() -> Path:
    """Write the configuration of Kueue."""
    seconds = f"{SECONDS_TO_BE_READY}s"
    # A run that did not start is not tried again, because the next try would hold its quota as long.
    ready = {"timeout": seconds, "recoveryTimeout": seconds, "requeuingStrategy": {"backoffLimitCount": 0}}
    values: Object = {
        "apiVersion": f"config.{GROUP}/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "health": {"healthProbeBindAddress": "0"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": CONTROL, "port": PORT, "certDir": str(certificates("certificates"))},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "clientConnection": {"qps": 300, "burst": 500},
        "manageJobsWithoutQueueName": False,
        "managedJobsNamespaceSelector": MANAGED,
        "waitForPodsReady": ready,
        "integrations": {"frameworks": ["batch/job", "pod"]},
        # The place in the queue comes from an API server of its own, which needs a Service in front of it.
        "featureGates": {"VisibilityOnDemand": False},
    }
    return write(state() / "etc" / "kueue.json", json.dumps(values, indent=1))


def install() -> None:
    """Apply Kueue's namespace, CRDs and webhooks."""
    components = source() / "config" / "components"
    crds = list(yaml.safe_load_all(kubectl("kustomize", str(components / "crd"))))
    for crd in crds:
        conversion = crd["spec"].get("conversion", {})
        if conversion.get("strategy") == "Webhook":
            conversion["webhook"]["clientConfig"] = client("/convert")
    apply_server_side({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *crds)
    webhooks = (components / "webhook" / "manifests.yaml").read_text()
    apply_server_side(*map(reachable, yaml.safe_load_all(webhooks)))


def reachable(configuration: Object) -> Object:
    """Return a webhook configuration of Kueue that calls the process of this machine, for managed namespaces only."""
    kept = []
    for hook in configuration["webhooks"]:
        groups = {group for rule in hook["rules"] for group in rule["apiGroups"]}
        if groups <= set(HOOKED):
            selector = {} if groups == {GROUP} else {"namespaceSelector": MANAGED}
            kept.append(hook | {"clientConfig": client(hook["clientConfig"]["service"]["path"])} | selector)
    metadata = {"name": f"kueue-{configuration['metadata']['name']}"}
    return configuration | {"metadata": metadata, "webhooks": kept}


def client(path: str) -> Object:
    """Return how the apiserver reaches a webhook."""
    authority = base64.b64encode(pki.authority().read_bytes()).decode()
    return {"url": f"https://{CONTROL}:{PORT}{path}", "caBundle": authority}


def source() -> Path:
    """Return the folder of Kueue's source, which contains its CRDs and webhooks."""
    module = CHECKOUT / "tools" / "kueue"
    run(["go", "-C", module, "mod", "download", MODULE])
    return Path(run(["go", "-C", module, "list", "-m", "-f", "{{.Dir}}", MODULE]).strip())


def folder(*names: str) -> Path:
    """Return a folder of Kueue's files; create it if needed."""
    home = Path(state(), "kueue", *names)
    home.mkdir(parents=True, exist_ok=True)
    return home


def certificates(*names: str) -> Path:
    """Return a folder with the certificate of Kueue, in files that have the names that it expects."""
    crt, key = pki.certificate("kueue-webhook", "/CN=kueue-webhook", f"IP:{CONTROL}")
    home = folder(*names)
    link(home / "tls.crt", crt)
    link(home / "tls.key", key)
    return home


def kubeconfig() -> Path:
    """Write Kueue's kubeconfig."""
    return pki.kubeconfig(pki.folder() / "kueue.kubeconfig", *pki.certificate("kueue", "/O=system:masters/CN=kueue"))
