"""A real Prometheus scrapes a real run: metrics, the queries of the dashboard, and an alert for a worker that hangs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.faults import hanging
from tests.integration.local_run import LocalRun
from tests.integration.prometheus import Prometheus
from tests.loopback import free_port
from tests.monitoring.dashboard import queries
from tests.monitoring.metrics import metric_names, used_names
from tests.monitoring.test_rules import RULES, loaded

pytestmark = pytest.mark.processes

JOB = """
strategy: ParameterServer
trainer: {task: digits, steps: 100000000, checkpointEvery: 200}
worker: {replicas: 1, minReplicas: 1}  # so that it serves the metrics of elastic runs, too
ps: {replicas: 1}
metrics: {enabled: true, port: %d}
storage: {claim: runs}
"""
OF_GPUS = {"tf_distributed_gpu_memory_used_bytes", "tf_distributed_gpu_memory_peak_bytes"}
"""These have no samples on a machine without GPUs."""


def short_rules() -> dict[str, Any]:
    """Return a copy of the alert rules that waits for seconds where the rules wait for minutes and hours."""
    rules = loaded(RULES)
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = re.sub(r"\[\d+[mh]\]", "[5s]", rule["expr"])
        if "for" in rule:
            rule["for"] = "2s"
    return rules


@pytest.fixture
def prometheus(local_run: LocalRun, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes `local_run`, whose job file it writes."""
    port = free_port()
    local_run.write(JOB % port)
    server = Prometheus(tmp_path / "prometheus", port, short_rules(), {"namespace": "team", "run": local_run.name})
    server.start()
    yield server
    server.close()


def test_prometheus_reads_a_run_and_reports_a_worker_that_hangs(local_run: LocalRun, prometheus: Prometheus) -> None:
    local_run.start("--plain", "--metrics")
    for name in sorted(metric_names() - OF_GPUS):
        local_run.wait_for(lambda name=name: prometheus.query(name), f"the metric {name}")
    local_run.wait_for(lambda: prometheus.query('tf_distributed_state{state="running"} == 1'), "the training")
    for title, query in queries():
        if not used_names(query) & OF_GPUS:
            assert prometheus.query(query), title
    local_run.wait_for(lambda: "TfDistributedRunStalled" not in prometheus.firing(), "a state without the alert")

    with hanging(local_run, "worker-0"):
        local_run.wait_for(lambda: "TfDistributedRunStalled" in prometheus.firing(), "the alert")
        assert "TfDistributedLeaderUnreachable" not in prometheus.firing()
    local_run.wait_for(lambda: "TfDistributedRunStalled" not in prometheus.firing(), "the end of the alert")

    with hanging(local_run, "chief-0"):
        local_run.wait_for(lambda: "TfDistributedLeaderUnreachable" in prometheus.firing(), "the other alert")
