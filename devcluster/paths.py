"""Paths and addresses: the state directory, the cache and the networks of the cluster."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent

# These networks exist inside the namespaces. On the machine itself, one veth has an address in the first.
NODES = "10.77.0"
PODS = "10.78"
SERVICES = "10.79.0"
CONTROL = f"{NODES}.1"
MACHINE = f"{NODES}.254"
LINK = "tfd-cluster"
DOMAIN = "cluster.local"
REGISTRY = f"{CONTROL}:5000"
API = f"https://{CONTROL}:6443"


def cache() -> Path:
    """Return the cache folder that all clones of the project share."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TFD_CACHE") or Path(home) / "tf-distributed").absolute()


def state() -> Path:
    """Return the state folder of the cluster; `down` deletes it."""
    return Path(os.environ.get("TFD_CLUSTER_STATE") or cache() / "cluster").absolute()


@dataclass(frozen=True)
class Node:
    """A node, identified by its number: node1, node2, ..."""

    number: int

    @property
    def name(self) -> str:
        """Return the name of the node, which is also its host name."""
        return f"node{self.number}"

    @property
    def address(self) -> str:
        """Return the address in the node network."""
        return f"{NODES}.{10 + self.number}"

    @property
    def pods(self) -> str:
        """Return the first three octets of the addresses of its pods."""
        return f"{PODS}.{self.number}"

    @property
    def home(self) -> Path:
        """Return the folder of the node's files."""
        return state() / "nodes" / self.name


def node_named(name: str) -> Node:
    """Return the node of a name such as `node2`."""
    return Node(int(name.removeprefix("node")))


def settings() -> dict[str, Any]:
    """Return the settings of the cluster: nodes, gpus, argocd, kueue."""
    path = state() / "settings.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def save_settings(values: dict[str, Any]) -> None:
    """Save the settings of the cluster."""
    write(state() / "settings.json", json.dumps(values))


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write a file atomically; leave a file with the same content untouched."""
    if path.exists() and path.read_text() == text:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
    return path
