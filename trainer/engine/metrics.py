"""Prometheus metrics of a run, served over HTTP by the task that writes the run directory.

All values come from the fields of status.json, when Prometheus asks for them. So the training loop does nothing for
the metrics, and they never differ from the file.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from socket import AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from trainer.runtime.config import RunRecord
from trainer.runtime.errors import ConfigError, Words
from trainer.runtime.logs import log

PREFIX: Final = "tf_distributed_"
STATES: Final = ("starting", "running", "done", "interrupted", "failed")
"""The states of status.json."""

_GAUGES: Final = {
    "step": ("step", "Steps trained so far. It falls when a run resumes from an earlier checkpoint."),
    "steps": ("target_steps", "The step at which the run ends."),
    "stepsPerSecond": ("steps_per_second", "Rate over the last segments."),
    "examplesPerSecond": ("examples_per_second", "Rate over the last segments, times the global batch."),
    "etaSeconds": ("eta_seconds", "Estimated time to the end."),
    "loss": ("loss", "Mean loss of the last steps."),
    "replicas": ("replicas", "Replicas in sync, which share a batch."),
    "inputWaitShare": ("input_wait_ratio", "Share of the time in which steps wait for data, 0 to 1."),
}
"""Field of status.json -> name after the prefix, and help. A field that is null has no sample."""

GpuMemory = Mapping[str, Mapping[str, int]]
"""Name of a GPU -> bytes in use (`current`) and their maximum (`peak`)."""


def gpu_memory() -> GpuMemory:
    """Return the memory that TensorFlow uses on each GPU of this task; empty without GPUs.

    TensorFlow must have initialized its devices, because it would do so now and accept no settings afterwards.
    """
    tf: Any = sys.modules["tensorflow"]
    names = [f"GPU:{index}" for index in range(len(tf.config.list_physical_devices("GPU")))]
    return {name: tf.config.experimental.get_memory_info(name) for name in names}


class RunCollector(Collector):
    """Makes the metrics of a run from the fields of status.json."""

    def __init__(
        self,
        record: RunRecord,
        read: Callable[[], Mapping[str, Any]],
        *,
        gpus: int = 0,
        memory: Callable[[], GpuMemory] = gpu_memory,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the metrics.

        Args:
            record: The run record.
            read: Returns the fields of status.json.
            gpus: The number of GPUs that all tasks of the run request.
            memory: Returns the memory of the GPUs of this task.
            clock: Returns the Unix time.

        """
        self._record, self._read, self._gpus, self._memory = record, read, gpus, memory
        self._started = clock()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their present values."""
        fields = self._read()
        # A scrape configuration adds the label `run`, so this one has another name.
        run = {"name": self._record.run, "strategy": self._record.strategy}
        yield InfoMetricFamily(f"{PREFIX}run", "The run that this target trains.", run)
        states = GaugeMetricFamily(f"{PREFIX}state", "1 for the state of the run, 0 for the others.", labels=["state"])
        for each in STATES:
            states.add_metric([each], float(each == fields["state"]))
        yield states
        yield _gauge("gpus", "GPUs that all tasks of the run request.", self._gpus)
        yield _gauge("start_timestamp_seconds", "Time at which the leader started, also in place.", self._started)
        for field, (name, words) in _GAUGES.items():
            value = float("nan") if field == "loss" and fields["lossIsNotANumber"] else fields[field]
            if value is not None:
                yield _gauge(name, words, value)
        restarts = "Restarts of the leader, in place or in a new pod."
        yield CounterMetricFamily(f"{PREFIX}restarts", restarts, fields["restarts"])
        yield from _workers(fields["workers"], fields["workerChanges"])
        yield from _checkpoint(fields["lastCheckpoint"])
        if fields["state"] == "running":
            yield from self._devices()

    def _devices(self) -> Iterator[Metric]:
        """Yield the memory of each GPU; nothing where TensorFlow does not report it."""
        try:
            known = self._memory()
        except Exception:  # noqa: BLE001, RUF100 - not every device counts its memory
            return
        used = GaugeMetricFamily(f"{PREFIX}gpu_memory_used_bytes", "Memory in use on the leader.", labels=["device"])
        peak = GaugeMetricFamily(f"{PREFIX}gpu_memory_peak_bytes", "Maximum of the memory in use.", labels=["device"])
        for device, found in known.items():
            used.add_metric([device], found["current"])
            peak.add_metric([device], found["peak"])
        yield from (used, peak)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}{name}", words, value)


def _workers(workers: Mapping[str, int] | None, changes: int) -> Iterator[Metric]:
    """Yield how many workers of an elastic run take part and how many do not; nothing for other runs."""
    if not workers:
        return
    there, missing = workers["there"], workers["most"] - workers["there"]
    yield _gauge("workers", "Workers of an elastic run that take part.", there)
    yield _gauge("workers_missing", "Workers of an elastic run that do not take part.", missing)
    yield CounterMetricFamily(f"{PREFIX}worker_changes", "Workers that joined or were lost.", changes)


def _checkpoint(saved: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Yield step and time of the last checkpoint. A version that wrote no time may have written status.json."""
    if not saved:
        return
    yield _gauge("last_checkpoint_step", "Step of the newest checkpoint.", saved["step"])
    try:
        at = datetime.fromisoformat(str(saved.get("time"))).timestamp()
    except ValueError:
        return
    yield _gauge("last_checkpoint_timestamp_seconds", "Time at which the newest checkpoint was saved.", at)


def serve(address: str, port: int, collector: Collector) -> int:
    """Serve the metrics in threads that end with the process; return the port.

    Args:
        address: The IP address to listen at.
        port: The port; 0 for a free one.
        collector: Makes the metrics.

    Raises:
        ConfigError: The port is not free.

    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server = _server(address)((address, port), _Handler)
    except (OSError, OverflowError) as error:
        got = Words(f"{port}, which is not free at {address} ({error})")
        raise ConfigError("metrics.port", got=got, expected="a free port", fix="Set another metrics.port") from error
    server.set_app(make_wsgi_app(registry))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("metrics at http://%s:%d/metrics", f"[{address}]" if ":" in address else address, server.server_port)
    return server.server_port


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # Two servers at one port would each get a part of the requests.
    allow_reuse_port = False

    def server_bind(self) -> None:
        """Bind without a look-up of the name of the host, which a slow DNS delays."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: a client that leaves or stays silent does not concern the run."""


class _ServerOfIpv6(_Server):
    address_family = AF_INET6


def _server(address: str) -> type[_Server]:
    return _ServerOfIpv6 if ":" in address else _Server


class _Handler(WSGIRequestHandler):
    timeout = 10
    """Seconds after which a silent connection ends."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401 - as the base class
        """Log nothing, because Prometheus asks every few seconds."""
