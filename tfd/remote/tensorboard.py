"""A run's TensorBoard on this machine, through kubectl's port-forward."""

from __future__ import annotations

from collections.abc import Callable

from tfd.remote.forward import forward as forward_ports
from tfd.remote.kubectl import Kubectl, NotFoundError
from tfd.remote.snapshot import look

PORT = 6006


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
    service = f"{run}-tensorboard"
    forward_ports(kubectl, service, {PORT: port}, lambda ports: ready(f"http://127.0.0.1:{ports[PORT]}"))
