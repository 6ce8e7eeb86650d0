"""The objects of a probe: two pods for the network, and a pod that writes to a claim."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.kubernetes import COMPONENT_LABEL, INSTANCE_LABEL, Object

SERVER, CLIENT, CLAIM = "server", "client", "claim"
PORT = 8000
REACH = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("open")
except OSError:
    print("closed")
"""
"""A program that prints whether an address and a port are reachable."""
_COMMANDS = {
    SERVER: ["python3", "-m", "http.server", str(PORT), "--directory", "/tmp"],  # noqa: S108 - in the pod
    CLIENT: ["sleep", "600"],
    CLAIM: ["sh", "-c", "echo probe >/claim/tfd-doctor && rm /claim/tfd-doctor"],
}
_USER = 65534
_NAME_LABEL = "app.kubernetes.io/name"


def labels(name: str) -> dict[str, str]:
    """Return the labels of all objects of a probe."""
    return {_NAME_LABEL: "tfd-doctor", INSTANCE_LABEL: name}


def probing(name: str, image: str, storage_class: str | None, claim: str | None) -> Iterator[Object]:
    """Yield the claim, the pods, and the policies that open the server in a namespace that denies all connections.

    Args:
        name: name of the probe.
        image: an image with Python.
        storage_class: class of the claim; None for the default of the cluster.
        claim: an existing claim to use; None for a new one.

    """
    spec: Object = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}}
    spec |= {"storageClassName": storage_class} if storage_class else {}
    metadata = {"name": name, "labels": labels(name)}
    if claim is None:
        yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    yield ingress(name, is_open=True)
    yield _egress(name)
    for component in (SERVER, CLIENT, CLAIM):
        yield _pod(name, component, image, claim or name)


def ingress(name: str, *, is_open: bool) -> Object:
    """Return the policy for connections to the server: from the pods of the probe, or from nowhere."""
    return _policy(name, SERVER, "Ingress", [{"from": [_peers(name)]}] if is_open else [])


def _egress(name: str) -> Object:
    """Return the policy that lets the client connect to the server.

    It is a policy of its own, because kube-router applies the rules of one policy to both directions.
    """
    return _policy(name, CLIENT, "Egress", [{"to": [_peers(name)]}])


def _peers(name: str) -> Object:
    return {"podSelector": {"matchLabels": labels(name)}}


def _policy(name: str, component: str, direction: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{name}-{component}", "labels": labels(name)},
        "spec": {
            "podSelector": {"matchLabels": labels(name) | {COMPONENT_LABEL: component}},
            "policyTypes": [direction],
            direction.lower(): rules,
        },
    }


def _pod(name: str, component: str, image: str, claim: str) -> Object:
    """Return a pod that the restricted Pod Security standard and a quota accept, and that ends by itself."""
    container: Object = {
        "name": "probe",
        "image": image,
        "command": _COMMANDS[component],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Object = {
        "activeDeadlineSeconds": 600,
        "automountServiceAccountToken": False,
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 0,
    }
    if component == CLAIM:
        container["volumeMounts"] = [{"name": "claim", "mountPath": "/claim"}]
        spec["volumes"] = [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}]
    metadata = {"name": f"{name}-{component}", "labels": labels(name) | {COMPONENT_LABEL: component}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
