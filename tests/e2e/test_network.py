"""Which pods can reach the port of a task."""

import pytest

from tests.e2e.kube import CommandError
from tests.e2e.team import Team, job

SERVE = "import http.server as s; s.HTTPServer(('', 2222), s.SimpleHTTPRequestHandler).serve_forever()"
REACH = "import socket, sys; socket.create_connection((sys.argv[1], 2222), timeout=5).close(); print('reached')"


def reaches(team: Team, pod: str, host: str) -> bool:
    try:
        return "reached" in team.kubectl("exec", pod, "--", "python", "-c", REACH, host)
    except CommandError:
        return False


def test_network_policy_admits_only_the_run(team: Team) -> None:
    """A task reaches another task of its run, and TensorBoard of the run is reachable. A pod outside the run does not
    reach a task (skipped where nothing enforces NetworkPolicy)."""
    run = "guarded"
    values = job("MultiWorkerMirrored", command=["python", "-c", SERVE], tensorboard={"enabled": True})
    team.install(run, values)
    pods = [team.pod(run, f"worker-{index}") for index in (0, 1)]
    host = f"{run}-worker-1.{run}"
    team.wait("a task to reach another one", lambda: reaches(team, pods[0]["metadata"]["name"], host), 60)
    team.kubectl("rollout", "status", f"deployment/{run}-tensorboard", "--timeout=120s")
    path = f"/api/v1/namespaces/{team.name}/services/{run}-tensorboard:http/proxy/data/environment"
    assert team.kubectl("get", "--raw", path)
    if reaches(team, "reader", pods[1]["status"]["podIP"]):
        pytest.skip("Nothing enforces NetworkPolicy in this cluster; see docs/decisions/0008-network-policy.md")
    assert team.kubectl("get", "networkpolicy", run)
