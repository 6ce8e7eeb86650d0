"""Storage that all nodes share, as a network file system would be: folders of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devcluster.kube import apply, kubectl
from devcluster.paths import state

CLASS = "shared"
POOL = 8
SIZE = "10Gi"


def folder(name: str) -> Path:
    """Return a new volume's folder; tasks are not root and a hostPath has no fsGroup, so all may write."""
    path = state() / "volumes" / name
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
    return path


def volume(name: str, storage_class: str, claim: tuple[str, str] | None = None) -> dict[str, Any]:
    """Return a PersistentVolume that many nodes may mount."""
    spec: dict[str, Any] = {
        "capacity": {"storage": SIZE},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": storage_class,
        "hostPath": {"path": str(folder(name)), "type": "Directory"},
    }
    if claim:
        spec["claimRef"] = {"namespace": claim[0], "name": claim[1]}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def default_class() -> None:
    """Make the default StorageClass and some volumes that any claim gets (a chart's own, for one)."""
    if kubectl("get", "storageclass", CLASS, "--ignore-not-found", "-o", "name"):
        return
    kind = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    apply(*(volume(f"{CLASS}-{number}", CLASS) for number in range(1, POOL + 1)), kind)


def claim(namespace: str, name: str) -> Path:
    """Make a claim that is bound to a folder of its own, and return the folder."""
    full = f"{namespace}-{name}"
    request: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": full,
            "resources": {"requests": {"storage": SIZE}},
        },
    }
    apply(volume(full, "", (namespace, name)), request)
    return state() / "volumes" / full
