"""kubectl, as a command: the one on the PATH, with the user's KUBECONFIG."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tfd.text import refusal, shown

SECONDS = 15
_PAGE = 500
_MESSAGES = ("Error from server", "error: ", "The ")
"""Begins of the messages of kubectl."""


class ClusterError(Exception):
    """The cluster did not answer: kubectl, the cluster or a permission is missing; the message names the fix."""


class NotFoundError(Exception):
    """The cluster answered, and the requested object does not exist."""


def find_kubectl() -> str:
    """Return the path of kubectl: the one on the PATH, else the one next to this Python.

    Raises:
        ClusterError: there is none.

    """
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))
    if found is None:
        fix = "Install it from https://kubernetes.io/docs/tasks/tools."
        raise ClusterError(refusal("kubectl", "no program", "kubectl 1.34 or newer on the PATH", fix))
    return found


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace; None is the namespace of the current context."""

    namespace: str | None = None

    def command(self, *words: str) -> list[str]:
        """Return the whole command."""
        return [find_kubectl(), *(["--namespace", self.namespace] if self.namespace else []), *words]

    def run(self, *words: str) -> str:
        """Return what kubectl prints.

        Raises:
            ClusterError: it failed; the message is its own.

        """
        command = [*self.command(*words), f"--request-timeout={SECONDS}s"]
        return _output(command)

    def answer(self, *words: str) -> dict[str, Any]:
        """Return the object of the Kubernetes API that kubectl prints.

        Raises:
            ClusterError: kubectl failed, or another server than the API has answered, such as a proxy with a login.

        """
        text = self.run(*words)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            fix = "Check the server of the current context: kubectl config view --minify."
            raise ClusterError(refusal(f"kubectl {' '.join(words)}", shown(text), "an object of the API", fix))
        return found

    def items(self, kinds: str, *selection: str) -> list[dict[str, Any]]:
        """Return the objects of some kinds (`jobs,pods`). Raises the errors of `answer`."""
        return self.answer("get", kinds, *selection, "-o", "json").get("items") or []

    def listed(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return all objects of a list of the Kubernetes API, page by page. Raises the errors of `answer`.

        kubectl passes the answer on as it is. For thousands of pods, `items` takes some times as long.

        Args:
            path: path of the list, such as `/api/v1/pods`. The objects have no `kind`.
            query: parameters of the list, such as `labelSelector`.

        """
        found: list[dict[str, Any]] = []
        following = ""
        while True:
            more = {"continue": following} if following else {}
            page = self.answer("get", "--raw", f"{path}?{urlencode({'limit': _PAGE, **query, **more})}")
            found += page.get("items") or []
            following = (page.get("metadata") or {}).get("continue", "")
            if not following:
                return found

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create objects, or change those that exist. Raises the errors of `run`."""
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        _output(self.command("apply", "-f", "-", f"--request-timeout={SECONDS}s"), items)

    def current_namespace(self) -> str:
        """Return the namespace in which the commands look. Raises the errors of `run`."""
        words = ("config", "view", "--minify", "-o", "jsonpath={.contexts[0].context.namespace}")
        return self.namespace or self.run(*words) or "default"

    def inside(self, pod: str, *words: str) -> str:
        """Return what a command prints in a running pod. Raises the errors of `run`."""
        # `--` ends the options of kubectl, so the time limit comes before it.
        return _output(self.command("exec", f"--request-timeout={SECONDS}s", pod, "--", *words))


def _output(command: list[str], given: str | None = None) -> str:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, errors="replace", check=False, timeout=4 * SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"kubectl did not answer within {4 * SECONDS} s. Check that the cluster is reachable."
        ) from error
    if done.returncode != 0:
        raise ClusterError(_reason(done.stderr))
    return done.stdout


def _reason(printed: str) -> str:
    """Return the last message of kubectl. Above it kubectl logs each attempt to connect."""
    lines = [line for line in printed.splitlines() if line.strip()] or ["kubectl failed without a message"]
    # The message of an admission webhook has several lines.
    first = max((at for at, line in enumerate(lines) if line.startswith(_MESSAGES)), default=-1)
    return " ".join(" ".join(lines[first:]).split()).removeprefix("error: ")
