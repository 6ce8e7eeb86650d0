"""Simulated nodes: kwok reports their pods as running, and no container starts.

kwok is a process in the control plane's namespaces. It takes the nodes and pods through their states with the stages of
its Go module. Only the stage that ends a pod differs: a pod ends when it has the annotation `COMPLETE`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from devcluster import control, pki
from devcluster.build import binaries_of, link
from devcluster.kube import apply, kubectl, kubectl_json
from devcluster.paths import CHECKOUT, CONTROL, state, write
from devcluster.shell import log, run, wait_for

MODULE = "sigs.k8s.io/kwok"
PORT = 10247
"""Port on which kwok answers for the kubelets of its nodes."""
PODS = "10.76.0.0/16"
LABEL = {"type": "kwok"}
SELECTOR = "type=kwok"
TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
"""Keeps all pods away that do not ask for a simulated node."""
COMPLETE = "tf-distributed.github.io/complete"
CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"}
STAGES = ("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease", "pod/fast/pod-ready",
          "pod/fast/pod-delete")  # fmt: skip
SECONDS_TO_START = 120
LOG = "2026-01-01T00:00:00.000000000Z stdout F step 120/1000 loss 0.5 4.0 steps/s\n"
"""The log of every pod, in the format of a container runtime. `tfd status` reads the step from it."""


def up(number: int) -> None:
    """Run `number` simulated nodes and delete the others; without nodes, kwok does not run."""
    found = {each["metadata"]["name"] for each in kubectl_json("get", "nodes", "-l", SELECTOR)["items"]}
    wanted = {f"kwok{index}" for index in range(1, number + 1)}
    if number:
        start()
        apply(*map(node, sorted(wanted - found)))
    if found - wanted:
        kubectl("delete", "node", *sorted(found - wanted))
    wait_for("the pods of deleted nodes to end", lambda: not lost(found - wanted), SECONDS_TO_START)
    if not number:
        control.NAMESPACES.stop("kwok")
        return
    wait_for("the simulated nodes", lambda: ready() == number, SECONDS_TO_START, f"log: {log_file()}")
    log(f"{number} simulated nodes are Ready")


def start() -> None:
    """Start kwok if it does not run."""
    [program] = binaries_of("kwok")
    link(state() / "bin" / "kwok", program)
    crt, key = pki.certificate("kwok", "/O=system:masters/CN=kwok", f"IP:{CONTROL}")
    kubeconfig = pki.kubeconfig(pki.folder() / "kwok.kubeconfig", crt, key)
    command: list[str | Path] = [
        program, f"--kubeconfig={kubeconfig}", f"--config={config()}", f"--manage-nodes-with-label-selector={SELECTOR}",
        "--v=WARN", f"--cidr={PODS}", f"--node-ip={CONTROL}", f"--node-port={PORT}", "--node-lease-duration-seconds=40",
        f"--tls-cert-file={crt}", f"--tls-private-key-file={key}",
    ]  # fmt: skip
    if control.NAMESPACES.start("kwok", command):
        log("started kwok")


def config() -> Path:
    """Write the stages of the nodes and pods, and the log of the pods."""
    stages = [(source() / "kustomize" / "stage" / f"{name}.yaml").read_text() for name in STAGES]
    file = write(state() / "etc" / "kwok.log", LOG)
    logs = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "logs"},
        "spec": {"logs": [{"logsFile": str(file), "follow": False}]},
    }
    return write(state() / "etc" / "kwok.yaml", "\n---\n".join([*stages, complete(), json.dumps(logs)]))


def complete() -> str:
    """Return the stage of kwok that completes a pod, for pods with the annotation."""
    file = source() / "kustomize" / "stage" / "pod" / "fast" / "pod-complete.yaml"
    stage = yaml.safe_load(file.read_text())
    condition = {"key": f'.metadata.annotations["{COMPLETE}"]', "operator": "Exists"}
    stage["spec"]["selector"]["matchExpressions"].append(condition)
    return json.dumps(stage)


def source() -> Path:
    """Return the folder of kwok's source, which contains its stages."""
    module = CHECKOUT / "devcluster" / "node" / "kwok"
    run(["go", "-C", module, "mod", "download", MODULE])
    return Path(run(["go", "-C", module, "list", "-m", "-f", "{{.Dir}}", MODULE]).strip())


def node(name: str) -> dict[str, Any]:
    """Return a node without a kubelet."""
    labels = LABEL | {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [TAINT]},
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }


def ready() -> int:
    """Return the number of simulated nodes that accept pods."""
    control.NAMESPACES.must_run("kwok")
    return sum(
        any(each["type"] == "Ready" and each["status"] == "True" for each in item["status"].get("conditions", []))
        and [taint["key"] for taint in item["spec"].get("taints", [])] == [TAINT["key"]]
        for item in kubectl_json("get", "nodes", "-l", SELECTOR)["items"]
    )


def lost(names: set[str]) -> bool:
    """Return whether pods of some nodes still exist. The pod garbage collector deletes the pods of deleted nodes."""
    if not names:
        return False
    return any(item["spec"].get("nodeName") in names for item in kubectl_json("get", "pods", "-A")["items"])


def log_file() -> Path:
    """Return the log of kwok."""
    return control.NAMESPACES.folder / "kwok.log"
