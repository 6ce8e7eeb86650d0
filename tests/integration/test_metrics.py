"""A leader serves the metrics of its run while it trains, and refuses a port that is taken."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import closing, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.local_run import LocalRun
from tests.loopback import free_port

pytestmark = pytest.mark.processes

JOB = """
trainer: {task: digits, steps: 100000000, checkpointEvery: 50}
metrics: {enabled: true, port: %d}
storage: {claim: runs}
"""


def samples(port: int) -> dict[str, float]:
    """Return the samples without labels, by name; nothing while no server answers."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
        return {each.name: each.value for one in families for each in one.samples if not each.labels}
    return {}


def test_metrics_show_the_progress_of_a_real_run(local_run: LocalRun) -> None:
    port = free_port()
    local_run.write(JOB % port)
    local_run.start("--plain", "--metrics")
    first = local_run.wait_for(
        lambda: "tf_distributed_last_checkpoint_timestamp_seconds" in (found := samples(port)) and found, "the metrics"
    )
    assert first["tf_distributed_target_steps"] == 100_000_000
    assert first["tf_distributed_replicas"] == 1
    local_run.wait_for(
        lambda: (
            samples(port).get("tf_distributed_last_checkpoint_step", 0) > first["tf_distributed_last_checkpoint_step"]
            and samples(port)["tf_distributed_steps_per_second"] > 0
        ),
        "progress in the metrics",
    )
    later = samples(port)
    assert later["tf_distributed_step"] > first["tf_distributed_step"]
    assert later["tf_distributed_start_timestamp_seconds"] == first["tf_distributed_start_timestamp_seconds"]
    assert later["tf_distributed_last_checkpoint_timestamp_seconds"] > first["tf_distributed_start_timestamp_seconds"]
    local_run.close()


def test_port_that_is_taken_ends_the_run_with_words(local_run: LocalRun) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        local_run.write(JOB % port)
        code, out, _ = local_run.run("--plain", "--metrics")
    assert code == 2
    assert f"metrics.port: got {port}, which is not free at 127.0.0.1" in out
    assert local_run.status()["exitCode"] == 2
