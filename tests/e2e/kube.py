"""The cluster that the scenarios run on: the cluster of KUBECONFIG, else the devcluster of `make cluster`."""

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
    """A command failed; the message contains its output."""


def command(
    words: Sequence[str], given: str | None = None, env: dict[str, str] | None = None, exits: Sequence[int] = (0,)
) -> str:
    """Return the standard output of a command."""
    done = subprocess.run(
        list(words), cwd=CHECKOUT, input=given, text=True, capture_output=True, env=os.environ | (env or {})
    )
    if done.returncode not in exits:
        raise CommandError(f"{' '.join(words)}\nexited with {done.returncode}: {done.stderr.strip()}\n{done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Kube:
    """One cluster."""

    kubeconfig: Path
    is_devcluster: bool
    """Whether `make cluster` started this cluster: a devcluster can lose nodes and simulate GPUs."""
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
        # Server-side, so that a later apply of argocd/ keeps the labels of a namespace.
        self.kubectl(
            "apply",
            "--server-side",
            "-f",
            "-",
            given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def devcluster(self, *words: str) -> str:
        """Run `python -m devcluster`, for what only a devcluster supports."""
        return command([sys.executable, "-m", "devcluster", *words])

    def kill(self, pod: Object) -> None:
        """Kill process 1 of a pod's container with SIGKILL."""
        self._containerd(pod, "kill", "-s", "SIGKILL")

    def freeze(self, pod: Object) -> None:
        """Stop all processes of a pod's container, as a node that hangs does."""
        self._containerd(pod, "pause")

    def thaw(self, pod: Object) -> None:
        """Continue the processes of a pod's container after `freeze`."""
        self._containerd(pod, "resume")

    def _containerd(self, pod: Object, *words: str) -> None:
        [status] = pod["status"]["containerStatuses"]
        container = status["containerID"].rpartition("/")[2]
        tasks = ["ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io", "tasks"]
        command(namespaces_of(node_named(pod["spec"]["nodeName"])).inside([*tasks, *words, container]))


def connect() -> Kube:
    """Return the cluster; raise CommandError if none is reachable or images are missing."""
    own = state() / "kubeconfig"
    chosen = Path(os.environ.get("KUBECONFIG") or own)
    if not chosen.exists():
        raise CommandError(
            f'KUBECONFIG: got "{chosen}"; expected an existing file. Run make cluster or set KUBECONFIG.'
        )
    if chosen == own:
        return Kube(own, True, json.loads(command([sys.executable, "-m", "devcluster", "images"])))
    names = {target: f"TFD_E2E_{target.upper()}_IMAGE" for target in ("trainer", "tensorboard")}
    if missing := [name for name in names.values() if not os.environ.get(name)]:
        fix = "Push the images and set the variables."
        raise CommandError(f"{' and '.join(missing)}: got nothing; expected images that the nodes can pull. {fix}")
    return Kube(chosen, False, {target: os.environ[name] for target, name in names.items()})
