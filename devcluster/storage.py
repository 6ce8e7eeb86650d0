"""Storage that all nodes share like a network file system: folders of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devcluster.kube import apply, kubectl
from devcluster.paths import state

CLASS = "shared"
POOL = 8
SIZE = "10Gi"


def folder(name: str) -> Path:
    """Return the folder of a new volume, writable for all: tasks are not root and hostPath has no fsGroup."""
    path = state() / "volumes" / name
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
    return path


def volume(name: str, storage_class: str, claim: tuple[str, str] | None = None) -> dict[str, Any]:
    """Return a PersistentVolume that all nodes may mount."""
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
    """Create the default StorageClass and volumes for any claim, such as a claim of the chart."""
    if kubectl("get", "storageclass", CLASS, "--ignore-not-found", "-o", "name"):
        return
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    apply(*(volume(f"{CLASS}-{number}", CLASS) for number in range(1, POOL + 1)), storage_class)


def claim(namespace: str, name: str) -> Path:
    """Create a claim with a separate folder as its volume, and return the folder."""
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
