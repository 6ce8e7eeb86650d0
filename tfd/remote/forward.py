"""Ports of a Service on this machine, through kubectl's port-forward."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping

from tfd.remote.kubectl import ClusterError, Kubectl

_FORWARDS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)")


def forward(kubectl: Kubectl, service: str, ports: Mapping[int, int], ready: Callable[[dict[int, int]], None]) -> None:
    """Forward ports of this machine to a Service until interrupted.

    Args:
        kubectl: kubectl in the namespace of the Service.
        service: name of the Service.
        ports: the port of this machine for each port of the pod; 0 for a free one.
        ready: called once all ports answer, with the port of this machine for each port of the pod.

    Raises:
        ClusterError: the cluster did not answer, or the connection broke.

    """
    # kubectl chooses the free ports, so no other process can take them first.
    pairs = [f"{local or ''}:{remote}" for remote, local in ports.items()]
    command = kubectl.command("port-forward", "--address", "127.0.0.1", f"service/{service}", *pairs)
    found: dict[int, int] = {}
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stderr  # noqa: S101
            for line in process.stdout:
                if forwards := _FORWARDS.match(line):
                    found[int(forwards[2])] = int(forwards[1])
                    if len(found) == len(ports):
                        ready(found)
            error = process.stderr.read().strip() or "kubectl port-forward has ended"
        finally:
            process.terminate()
    raise ClusterError(error.splitlines()[-1].removeprefix("error: "))
