"""A run's TensorBoard on this machine, through kubectl's port-forward."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from tfd.remote.kubectl import ClusterError, Kubectl, NotFoundError
from tfd.remote.snapshot import look

PORT = 6006
_FORWARDS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


def forward(kubectl: Kubectl, run: str, port: int, ready: Callable[[str], None]) -> None:
    """Forward a port of this machine to the run's TensorBoard until interrupted; `ready` receives the address.

    Args:
        kubectl: kubectl in the namespace of the run.
        run: name of the run.
        port: port of this machine; 0 for a free one.
        ready: called with the address once it answers.

    Raises:
        NotFoundError: there is no such run, or its TensorBoard is not running.
        ClusterError: the cluster did not answer, or the connection broke.

    """
    if look(kubectl, run).tensorboard is None:
        raise NotFoundError(
            f"The TensorBoard of {run} is not running. It needs tensorboard.enabled: true, storage that is not "
            "ephemeral and a run that is not archived. Check its pod with kubectl get pods."
        )
    # kubectl chooses the free port, so no other process can take it first.
    ports = f"{port or ''}:{PORT}"
    command = kubectl.command("port-forward", "--address", "127.0.0.1", f"service/{run}-tensorboard", ports)
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stderr  # noqa: S101
            for line in process.stdout:
                if found := _FORWARDS.match(line):
                    ready(f"http://127.0.0.1:{found[1]}")
            error = process.stderr.read().strip() or "kubectl port-forward has ended"
        finally:
            process.terminate()
    raise ClusterError(error.splitlines()[-1].removeprefix("error: "))
