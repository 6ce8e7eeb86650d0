"""kubectl, as the cluster's administrator."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from devcluster.paths import state
from devcluster.shell import run


def kubectl(*words: str, given: str | None = None) -> str:
    """Run kubectl and return what it prints."""
    env = os.environ | {"KUBECACHEDIR": str(state() / "kubectl")}
    return run([state() / "bin" / "kubectl", "--kubeconfig", state() / "kubeconfig", *words], given, env)


def kubectl_json(*words: str) -> dict[str, Any]:
    """Run kubectl and return what it prints, read as JSON."""
    return dict(json.loads(kubectl(*words, "-o", "json")))


def apply(*objects: dict[str, Any]) -> None:
    """Apply objects."""
    kubectl("apply", "--validate=false", "-f", "-", given=as_list(objects))


def apply_on_server(*objects: dict[str, Any]) -> None:
    """Apply objects so that what others have added to them stays."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=as_list(objects))


def as_list(objects: Iterable[dict[str, Any]]) -> str:
    """Return objects as one that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
