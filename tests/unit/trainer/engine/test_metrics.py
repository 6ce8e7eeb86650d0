"""The metrics of a run: one sample for each known field of status.json, served over HTTP."""

from __future__ import annotations

import math
import socket
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.loopback import LOOPBACKS
from tests.unit.trainer.conftest import Clock
from trainer.engine.metrics import GpuMemory, RunCollector, serve
from trainer.runtime.config import RunRecord
from trainer.runtime.errors import ConfigError
from trainer.runtime.exit_codes import BAD_CONFIG
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
LATER: dict[str, Any] = {
    "state": "running", "step": 40, "stepsPerSecond": 2.5, "examplesPerSecond": 160.0, "etaSeconds": 24.0,
    "loss": 0.25, "replicas": 4, "inputWaitShare": 0.125,
    "lastCheckpoint": {"step": 20, "path": "x", "time": "2026-11-24T10:00:00.500Z"},
}  # fmt: skip


@pytest.fixture
def status(tmp_path: Any, record: RunRecord) -> Status:
    run_dir = RunDir(str(tmp_path / "little"), record)
    run_dir.claim()
    return Status(run_dir, 100)


def scrape(port: int, host: str = "127.0.0.1") -> Samples:
    """Return the value of each sample by its name and labels."""
    address = f"[{host}]" if ":" in host else host
    with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {(each.name, frozenset(each.labels.items())): each.value for one in families for each in one.samples}


def named(samples: Samples, **labels: str) -> dict[str, float]:
    """Return the samples with exactly these labels by their names after the prefix."""
    wanted = frozenset(labels.items())
    return {name.removeprefix("tf_distributed_"): value for (name, own), value in samples.items() if own == wanted}


def collected(record: RunRecord, status: Status, memory: Mapping[str, Any] | None = None, gpus: int = 0) -> Samples:
    collector = RunCollector(record, status.fields, gpus=gpus, memory=lambda: memory or {}, clock=Clock())
    return scrape(serve("127.0.0.1", 0, collector))


def test_every_known_field_has_its_sample(record: RunRecord, status: Status) -> None:
    status.note(**LATER)
    found = collected(record, status, gpus=8)
    assert named(found) == {
        "gpus": 8, "start_timestamp_seconds": 1000, "step": 40, "target_steps": 100, "steps_per_second": 2.5,
        "examples_per_second": 160, "eta_seconds": 24, "loss": 0.25, "replicas": 4, "input_wait_ratio": 0.125,
        "restarts_total": 0, "last_checkpoint_step": 20, "last_checkpoint_timestamp_seconds": 1795514400.5,
    }  # fmt: skip
    assert named(found, name="little", strategy="OneDevice") == {"run_info": 1}
    states = {state: named(found, state=state)["state"] for state in ("starting", "running", "done", "failed")}
    assert states == {"starting": 0, "running": 1, "done": 0, "failed": 0}


def test_unknown_field_has_no_sample(record: RunRecord, status: Status) -> None:
    assert named(collected(record, status)) == {
        "gpus": 0, "start_timestamp_seconds": 1000, "step": 0, "target_steps": 100, "restarts_total": 0,
    }  # fmt: skip


def test_elastic_run_serves_its_workers_those_that_are_missing_and_its_changes(
    record: RunRecord, status: Status
) -> None:
    status.note(workers={"there": 3, "least": 2, "most": 8}, workerChanges=5)
    found = named(collected(record, status))
    assert {name: value for name, value in found.items() if "worker" in name} == {
        "workers": 3, "workers_missing": 5, "worker_changes_total": 5,
    }  # fmt: skip


@pytest.mark.parametrize("time", [None, "yesterday", ""])
def test_checkpoint_without_a_time_has_only_its_step(record: RunRecord, status: Status, time: str | None) -> None:
    status.note(lastCheckpoint={"step": 20, "path": "x", "time": time})
    found = named(collected(record, status))
    assert found["last_checkpoint_step"] == 20
    assert "last_checkpoint_timestamp_seconds" not in found


def test_loss_that_is_not_a_number_is_served_as_such(record: RunRecord, status: Status) -> None:
    status.note(loss=0.5, lossIsNotANumber=True)
    assert math.isnan(named(collected(record, status))["loss"])


def test_metrics_follow_the_fields(record: RunRecord, status: Status) -> None:
    port = serve("127.0.0.1", 0, RunCollector(record, status.fields))
    assert named(scrape(port))["step"] == 0
    status.note(step=7)
    assert named(scrape(port))["step"] == 7


def test_storage_that_hangs_does_not_delay_the_metrics(record: RunRecord, status: Status) -> None:
    with status._lock:  # What `update` holds while it writes.
        assert named(collected(record, status))["step"] == 0


def test_memory_of_each_gpu_is_served_once_the_run_trains(record: RunRecord, status: Status) -> None:
    memory: GpuMemory = {"GPU:0": {"current": 5, "peak": 9}, "GPU:1": {"current": 6, "peak": 8}}
    assert named(collected(record, status, memory), device="GPU:0") == {}
    status.note(state="running")
    found = collected(record, status, memory)
    assert named(found, device="GPU:0") == {"gpu_memory_used_bytes": 5, "gpu_memory_peak_bytes": 9}
    assert named(found, device="GPU:1") == {"gpu_memory_used_bytes": 6, "gpu_memory_peak_bytes": 8}


def test_devices_that_do_not_count_their_memory_leave_the_other_metrics(record: RunRecord, status: Status) -> None:
    def memory() -> GpuMemory:
        raise ValueError("no allocator stats")

    status.note(state="running")
    port = serve("127.0.0.1", 0, RunCollector(record, status.fields, memory=memory))
    assert named(scrape(port))["step"] == 0


@pytest.mark.parametrize("host", LOOPBACKS)
def test_metrics_are_served_for_each_family_of_addresses(record: RunRecord, status: Status, host: str) -> None:
    port = serve(host, 0, RunCollector(record, status.fields))
    assert named(scrape(port, host))["step"] == 0


@pytest.mark.parametrize("host", LOOPBACKS)
def test_port_that_is_taken_is_refused(record: RunRecord, status: Status, host: str) -> None:
    port = serve(host, 0, RunCollector(record, status.fields))
    with pytest.raises(ConfigError) as error:
        serve(host, port, RunCollector(record, status.fields))
    assert error.value.code == BAD_CONFIG
    assert str(error.value).startswith(f"metrics.port: got {port}, which is not free at {host} (")
    assert str(error.value).endswith("; expected a free port. Set another metrics.port.")


@pytest.mark.parametrize("port", [65536, 10**9])
def test_number_that_is_no_port_is_refused(record: RunRecord, status: Status, port: int) -> None:
    with pytest.raises(ConfigError, match=r"^metrics\.port: got \d+, which is not free"):
        serve("127.0.0.1", port, RunCollector(record, status.fields))


def test_client_that_says_nothing_or_leaves_stops_no_other(record: RunRecord, status: Status) -> None:
    port = serve("127.0.0.1", 0, RunCollector(record, status.fields))
    with closing(socket.create_connection(("127.0.0.1", port))):
        for _ in range(3):
            socket.create_connection(("127.0.0.1", port)).close()
        assert named(scrape(port))["step"] == 0
