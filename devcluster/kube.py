"""kubectl with the credentials of the cluster's administrator."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from devcluster.paths import state
from devcluster.shell import run


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run kubectl and return its output."""
    env = os.environ | {"KUBECACHEDIR": str(state() / "kubectl")}
    return run([state() / "bin" / "kubectl", "--kubeconfig", state() / "kubeconfig", *words], stdin, env)


def kubectl_json(*words: str) -> dict[str, Any]:
    """Run kubectl and return its output, parsed as JSON."""
    return dict(json.loads(kubectl(*words, "-o", "json")))


def apply(*objects: dict[str, Any]) -> None:
    """Apply objects."""
    kubectl("apply", "--validate=false", "-f", "-", stdin=as_list(objects))


def apply_server_side(*objects: dict[str, Any]) -> None:
    """Apply objects on the server; fields of other managers stay."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=as_list(objects))


def as_list(objects: Iterable[dict[str, Any]]) -> str:
    """Return objects as a Kubernetes List in JSON."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
