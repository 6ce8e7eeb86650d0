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
    """Forward a port of this machine (0: a free one) to the run's TensorBoard and tell the address, until interrupted.

    Raises:
        NotFoundError: there is no such run, or it has no TensorBoard that runs.
        ClusterError: the cluster can't be asked, or the connection broke.

    """
    if look(kubectl, run).tensorboard is None:
        raise NotFoundError(
            f"{run}: its TensorBoard does not run: a run has one with tensorboard.enabled true, storage that is not "
            "ephemeral and state not archived; is its pod pending? kubectl get pods"
        )
    # kubectl picks a free port by itself, so none can be taken in between.
    ports = f"{port or ''}:{PORT}"
    command = kubectl.command("port-forward", "--address", "127.0.0.1", f"service/{run}-tensorboard", ports)
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stderr  # noqa: S101
            for line in process.stdout:
                if found := _FORWARDS.match(line):
                    ready(f"http://127.0.0.1:{found[1]}")
            said = process.stderr.read().strip() or "kubectl port-forward has ended"
        finally:
            process.terminate()
    raise ClusterError(said.splitlines()[-1].removeprefix("error: "))
