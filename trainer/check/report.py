"""The description of a task, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.runtime.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The description of a task. Shapes include the batch dimension, memory is in bytes, times are in seconds."""

    task: str
    batchSize: int  # noqa: N815, RUF100 - keys of the JSON are written as in status.json
    replicas: int
    precision: str
    jitCompile: bool  # noqa: N815, RUF100
    parameters: int
    trainableParameters: int  # noqa: N815, RUF100
    tables: dict[str, list[int]]
    inputs: Json
    labels: Json
    outputs: Json
    loss: float
    metrics: dict[str, float]
    multiplyAddsPerExample: int | None  # noqa: N815, RUF100
    flopsPerExample: int | None  # noqa: N815, RUF100
    firstStepSeconds: float  # noqa: N815, RUF100
    secondsPerStep: float  # noqa: N815, RUF100
    peakMemoryBytes: int  # noqa: N815, RUF100
    peakMemoryOf: str  # noqa: N815, RUF100


def _shape(spec: Json, batch: int | None = None) -> str:
    """Return dtype and shape of `spec` as text, such as `float32 [8, 10]`."""
    sizes = list(spec.shape)
    if sizes and sizes[0] is None and batch:
        sizes[0] = batch
    return f"{spec.dtype.name} [{', '.join('?' if size is None else str(size) for size in sizes)}]"


def shapes(specs: Json, batch: int | None = None) -> Json:
    """Return the structure of `specs` with dtypes and shapes as text; `batch` replaces an unknown batch dimension."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda each: _shape(each, batch), specs)


def describe(report: Report) -> str:
    """Return the report as text."""

    def large(value: float | None, unit: str = "") -> str:
        if value is None:
            return "not counted"
        for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= size:
                return f"{value / size:.2f} {letter}{unit}"
        return f"{value:.0f} {unit}".rstrip()

    lines = {
        "task": f"{report.task}, batch size {report.batchSize}, {report.precision}{', XLA' * report.jitCompile}",
        "replicas": f"{report.replicas}" if report.replicas > 1 else "1 (--replicas 2 tries the task with two)",
        "parameters": f"{report.parameters:,}, trainable {report.trainableParameters:,}",
        "tables": ", ".join(f"{name} {rows:,} x {width}" for name, (rows, width) in report.tables.items()),
        "inputs": str(report.inputs),
        "labels": str(report.labels),
        "outputs": str(report.outputs),
        "loss": f"{report.loss:.6g} in the first step",
        "metrics": ", ".join(f"{name} {value:.6g}" for name, value in report.metrics.items()) or "none",
        "multiply-adds": f"{large(report.multiplyAddsPerExample)} per example, forward (convolutions, matrix products)",
        "FLOPs": f"{large(report.flopsPerExample)} per example, forward (TensorFlow's profiler: all operations)",
        "peak memory": f"{large(report.peakMemoryBytes, 'B')} of the {report.peakMemoryOf}",
        "step": f"{report.secondsPerStep:.3f} s, the first one {report.firstStepSeconds:.1f} s",
    }
    return "".join(f"{name:14}{text}\n" for name, text in lines.items() if text)
