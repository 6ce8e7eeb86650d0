"""The traffic between the tasks of a run: proxies in the environment, and both address families."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.local_run import PATIENCE, LocalRun
from tests.integration.trainers import started
from tests.loopback import LOOPBACKS, free_port

pytestmark = pytest.mark.processes

# Nothing listens at the proxy, and `no_proxy` is what clusters usually set.
PROXY = """
strategy: %s
trainer: {task: digits, steps: 20}
worker: {replicas: 2}
env:
  - {name: http_proxy, value: "http://127.0.0.1:9"}
  - {name: https_proxy, value: "http://127.0.0.1:9"}
  - {name: no_proxy, value: "localhost,10.0.0.0/8,.svc,.cluster.local"}
failure: {startTimeout: 40s, orphanTimeout: 40s}
storage: {claim: runs}
"""


@pytest.mark.parametrize("strategy", ["MultiWorkerMirrored", pytest.param("ParameterServer", marks=pytest.mark.slow)])
def test_a_proxy_does_not_catch_the_traffic_of_the_run(local_run: LocalRun, strategy: str) -> None:
    local_run.write(PROXY % strategy)
    code, out, err = local_run.run()
    assert code == 0, f"{out}\n{err}\n{local_run.all_logs()}"
    assert local_run.done()["step"] == 20


@pytest.mark.parametrize("host", LOOPBACKS[1:])
@pytest.mark.parametrize(
    ("strategy", "tasks"),
    [
        ("MultiWorkerMirrored", {"worker": 2}),
        pytest.param("ParameterServer", {"chief": 1, "ps": 1, "worker": 1}, marks=pytest.mark.slow),
    ],
)
def test_tasks_that_have_only_ipv6_train(tmp_path: Path, host: str, strategy: str, tasks: dict[str, int]) -> None:
    cluster = {role: [f"[{host}]:{free_port(host)}" for _ in range(count)] for role, count in tasks.items()}
    names = [f"{role}-{index}" for role, count in tasks.items() for index in range(count)]
    with started(strategy, names, cluster, tmp_path) as processes:
        logs = [each.communicate(timeout=PATIENCE)[1] for each in processes.values()]
    assert [each.returncode for each in processes.values()] == [0] * len(names), "\n".join(logs)
