"""What tasks and TensorBoard reach, and who reaches them: docs/platform/network.md on a cluster that enforces it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.kube import CommandError
from tests.e2e.team import Team, job

SERVE = "import http.server as s; s.ThreadingHTTPServer(('', {port}), s.SimpleHTTPRequestHandler).serve_forever()"
REACH = (
    "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close(); print('reached')"
)
TASK_PORT, OTHER_PORT, TENSORBOARD_PORT = 2222, 8000, 6006


def reaches(team: Team, pod: str, host: str, port: int) -> bool:
    try:
        return "reached" in team.kubectl("exec", pod, "--", "python", "-c", REACH, host, str(port))
    except CommandError:
        return False


def require_enforcement(team: Team) -> None:
    """Skip where nothing enforces NetworkPolicy, but never on the cluster of `make cluster`."""
    closed = {"podSelector": {"matchLabels": {"run": "closed"}}, "policyTypes": ["Ingress"]}
    metadata = {"name": "closed", "namespace": team.name}
    api = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    serving = ["python", "-c", SERVE.format(port=OTHER_PORT)]
    for name in ("closed", "open"):
        team.add_pod(name, serving, labels={"run": name})
    team.kubectl("wait", "--for=condition=Ready", "pod/open", "pod/closed", "--timeout=240s")
    team.kube.apply(api | {"metadata": metadata, "spec": closed})
    addresses = {name: team.kube.get("pod", name, "-n", team.name)["status"]["podIP"] for name in ("closed", "open")}
    team.wait("the open pod to answer", lambda: reaches(team, "reader", addresses["open"], OTHER_PORT), 60)
    try:
        team.wait("the closed pod to refuse", lambda: not reaches(team, "reader", addresses["closed"], OTHER_PORT), 30)
    except AssertionError:
        if team.kube.is_devcluster:
            raise
        pytest.skip("Nothing enforces NetworkPolicy in this cluster; see docs/decisions/0008-network-policy.md")


def test_network_policy_admits_only_the_run(new_team: Callable[[], Team]) -> None:
    """A task reaches a task of its run and DNS, and neither another pod of the cluster nor the API server.

    A pod outside the run does not reach a task. TensorBoard is reached from its namespace only. With network.egress, a
    mutable key, the tasks reach the listed address and port."""
    team, other_team, run = new_team(), new_team(), "guarded"
    require_enforcement(team)
    values: dict[str, Any] = job(
        "MultiWorkerMirrored", command=["python", "-c", SERVE.format(port=TASK_PORT)], tensorboard={"enabled": True}
    )
    team.install(run, values)
    task, peer = (team.pod(run, f"worker-{index}") for index in (0, 1))
    name, address = task["metadata"]["name"], peer["status"]["podIP"]
    open_pod = team.kube.get("pod", "open", "-n", team.name)["status"]["podIP"]

    # The name needs DNS.
    team.wait("a task to reach another one", lambda: reaches(team, name, f"{run}-worker-1.{run}", TASK_PORT), 60)
    assert reaches(team, "reader", open_pod, OTHER_PORT)
    assert not reaches(team, name, open_pod, OTHER_PORT)
    assert not reaches(team, name, "kubernetes.default.svc.cluster.local", 443)
    assert reaches(team, "reader", "kubernetes.default.svc.cluster.local", 443)
    assert not reaches(team, "reader", address, TASK_PORT)

    team.kubectl("rollout", "status", f"deployment/{run}-tensorboard", "--timeout=120s")
    board = f"{run}-tensorboard.{team.name}.svc.cluster.local"
    assert reaches(team, "reader", board, TENSORBOARD_PORT)
    assert not reaches(other_team, "reader", board, TENSORBOARD_PORT)

    opened = {"network": {"egress": [{"to": f"{open_pod}/32", "ports": [OTHER_PORT]}]}}
    team.upgrade(run, values | opened)
    team.wait("a task to reach a listed address", lambda: reaches(team, name, open_pod, OTHER_PORT), 60)
    assert not reaches(team, name, "kubernetes.default.svc.cluster.local", 443)
