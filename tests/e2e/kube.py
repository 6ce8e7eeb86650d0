"""The cluster that the scenarios run on: the one that KUBECONFIG names, else the one of `make cluster`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.nodes import namespaces_of
from devcluster.paths import CHECKOUT, node_named, state

Object = dict[str, Any]
GPU = "nvidia.com/gpu"


class CommandError(Exception):
    """A command failed; the text is all that it said."""


def command(
    words: Sequence[str], given: str | None = None, env: dict[str, str] | None = None, exits: Sequence[int] = (0,)
) -> str:
    """Return what a command prints on its standard output."""
    done = subprocess.run(
        list(words), cwd=CHECKOUT, input=given, text=True, capture_output=True, env=os.environ | (env or {})
    )
    if done.returncode not in exits:
        raise CommandError(f"{' '.join(words)}\nleft with {done.returncode}: {done.stderr.strip()}\n{done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Kube:
    """One cluster."""

    kubeconfig: Path
    own: bool
    """It is the one of `make cluster`: nodes may be lost and GPUs simulated."""
    images: dict[str, str]

    @property
    def env(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *words: str, given: str | None = None) -> str:
        found = shutil.which("kubectl") or str(state() / "bin" / "kubectl")
        return command([found, *words], given, self.env)

    def get(self, *words: str) -> Object:
        return dict(json.loads(self.kubectl("get", *words, "-o", "json")))

    def apply(self, *objects: Object) -> None:
        # On the server's side, so that what argocd/ applies to a namespace later leaves our labels there.
        self.kubectl(
            "apply",
            "--server-side",
            "-f",
            "-",
            given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def box(self, *words: str) -> str:
        """`python -m devcluster`, for what only the cluster in a box can do."""
        return command([sys.executable, "-m", "devcluster", *words])

    def kill(self, pod: Object) -> None:
        """Kill process 1 of a pod's container, as the kernel would."""
        [status] = pod["status"]["containerStatuses"]
        container = status["containerID"].rpartition("/")[2]
        inside = namespaces_of(node_named(pod["spec"]["nodeName"])).inside(
            [
                "ctr",
                "-a",
                "/run/containerd/containerd.sock",
                "-n",
                "k8s.io",
                "tasks",
                "kill",
                "-s",
                "SIGKILL",
                container,
            ]
        )
        command(inside)


def connect() -> Kube:
    """Return the cluster, or say what is missing."""
    box = state() / "kubeconfig"
    chosen = Path(os.environ.get("KUBECONFIG") or box)
    if not chosen.exists():
        raise CommandError(f"no cluster: there is no {chosen}: `make cluster`, or set KUBECONFIG to one")
    if chosen == box:
        return Kube(box, True, json.loads(command([sys.executable, "-m", "devcluster", "images"])))
    names = {target: f"TFD_E2E_{target.upper()}_IMAGE" for target in ("trainer", "tensorboard")}
    if missing := [name for name in names.values() if not os.environ.get(name)]:
        raise CommandError(f"KUBECONFIG is set to {chosen}: set {' and '.join(missing)} to images that it can pull")
    return Kube(chosen, False, {target: os.environ[name] for target, name in names.items()})
