"""The scaling model: seconds of a step from the speed of one device, the bytes of a step and the network.

All functions are pure. Times are in seconds, sizes in bytes, and a bandwidth is in bytes per second and direction.
docs/guides/scaling.md explains each formula and names its source.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

COMPUTE, NETWORK, PS, CORES = "compute", "network", "ps", "cores"
"""What limits a run: its devices, the network of the workers, the ps, or the cores of the machine."""
PARAMETER_SERVER = "ParameterServer"


@dataclass(frozen=True, kw_only=True)
class Device:
    """The speed of one device: a step takes a fixed time, and a time per example."""

    fixed: float
    per_example: float

    def seconds(self, batch: float) -> float:
        """Return the seconds of a step of `batch` examples."""
        return self.fixed + self.per_example * batch


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """The numbers from which a step is computed."""

    device: Device
    bytes_per_step: float
    """What each replica exchanges: the gradients, and under ParameterServer as much for the variables."""
    bandwidth: float
    """Of the slowest link between two replicas. With `cores`: of the machine, all tasks together."""
    latency: float
    """Of one message."""
    overlap: float
    """The share of the computation, 0 to 1, during which transfers happen."""
    overhead: float
    """Work of a step with peers besides computation and transfers, such as scheduling the step."""
    ps_imbalance: float
    """The bytes on the busiest ps, relative to the mean. 1: all ps have the same."""
    cores: float | None = None
    """Cores of the one machine on which all tasks run. None: each task has a machine of its own."""
    device_cores: float = 1.0
    """Cores that the step of one device keeps busy. Only used with `cores`."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the job file contains about a run."""

    strategy: str
    batch: int
    """`trainer.batchSize`: of all replicas, except under ParameterServer, where each worker takes it."""
    steps: int
    ps: int = 1
    replicas_per_worker: int = 1
    gpus_per_worker: int = 0
    min_workers: int | None = None
    """Workers that start an elastic run. None: the run needs all of its workers."""
    other_gpus: int = 0
    """GPUs of the tasks whose number does not change with the workers."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The seconds of a step, and what limits it."""

    seconds: float
    """From the end of a step to the end of the next. Under ParameterServer the workers take turns."""
    compute: float
    """Seconds in which one replica computes the step."""
    transfer: float
    """Seconds of transfers that the computation does not hide."""
    bottleneck: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the model predicts for a number of workers."""

    workers: int
    step: Step
    examples_per_second: float
    seconds: float
    """To the last step, without start, checkpoints and evaluation."""
    gpu_hours: float
    efficiency: float
    """The speed-up over one worker, divided by the number of workers."""
    ps_needed: int | None
    """The smallest number of ps that do not limit the run. None: the run has no ps, or one machine for all tasks."""


def fit(measured: Iterable[tuple[int, float]]) -> Device:
    """Return the speed of a device from measured steps, as least squares with no negative part.

    One batch size does not show a fixed time. The fixed time is 0 then.

    Args:
        measured: batch size and seconds per step of each measurement, at least one.

    """
    by_batch: dict[int, list[float]] = defaultdict(list)
    for batch, seconds in measured:
        by_batch[batch].append(seconds)
    points = [(batch, fmean(times)) for batch, times in by_batch.items()]
    mean_batch, mean_seconds = fmean(batch for batch, _ in points), fmean(seconds for _, seconds in points)
    spread = sum((batch - mean_batch) ** 2 for batch, _ in points)
    slope = sum((batch - mean_batch) * (seconds - mean_seconds) for batch, seconds in points) / spread if spread else 0
    fixed = mean_seconds - slope * mean_batch
    if spread and slope <= 0:
        return Device(fixed=mean_seconds, per_example=0.0)
    if not spread or fixed < 0:
        through_zero = sum(batch * seconds for batch, seconds in points) / sum(batch * batch for batch, _ in points)
        return Device(fixed=0.0, per_example=through_zero)
    return Device(fixed=fixed, per_example=slope)


def all_reduce(given: Assumptions, batch: int, replicas: int) -> Step:
    """Return the step of `replicas` replicas that share a batch and sum their gradients in a ring."""
    alone = given.device.seconds(batch / replicas)
    work = alone + (given.overhead if replicas > 1 else 0.0)
    crowd = max(1.0, replicas * given.device_cores / given.cores) if given.cores else 1.0
    compute = work * crowd
    links = replicas if given.cores else 1  # the links of a ring on one machine share its bandwidth
    per_message = given.bytes_per_step / replicas * links / given.bandwidth + given.latency
    transfer = _exposed(2 * (replicas - 1) * per_message, compute, given.overlap)
    bottleneck = NETWORK if transfer > compute else CORES if crowd > 1 else COMPUTE
    return Step(seconds=compute + transfer, compute=compute, transfer=transfer, bottleneck=bottleneck)


def parameter_server(given: Assumptions, batch: int, workers: int, ps: int) -> Step:
    """Return the step of one of `workers` workers, each of which reads the variables and sends its gradients to `ps`.

    The steps of a run follow each other as fast as the slower of two allows: the workers, or what they share.
    """
    compute = given.device.seconds(batch) + given.overhead
    whole = given.bytes_per_step / given.bandwidth
    # A ps sends variables and receives gradients at the same time, each with its whole bandwidth.
    busiest = whole * min(1.0, given.ps_imbalance / ps)
    transfer = _exposed(2 * (whole + given.latency), compute, given.overlap)
    by_workers = (compute + transfer) / workers
    shared = compute * given.device_cores / given.cores + 2 * whole if given.cores else busiest
    bottleneck = NETWORK if transfer > compute else COMPUTE
    if shared > by_workers:
        bottleneck = CORES if given.cores else PS
    return Step(seconds=max(by_workers, shared), compute=compute, transfer=transfer, bottleneck=bottleneck)


def ps_needed(given: Assumptions, batch: int, workers: int) -> int:
    """Return the smallest number of ps, each on its own machine, that do not limit `workers` workers."""
    return next(ps for ps in itertools.count(1) if parameter_server(given, batch, workers, ps).bottleneck != PS)


def estimates(given: Assumptions, layout: Layout, workers: Sequence[int]) -> list[Estimate]:
    """Return the prediction for each number of workers."""
    alone = _step(given, layout, 1).seconds
    return [_estimate(given, layout, count, alone) for count in workers]


def best(found: Sequence[Estimate], least_efficiency: float) -> Estimate:
    """Return the fastest of the estimates with this efficiency, else the most efficient one.

    Of estimates that are as fast, the one with the fewest workers is returned.
    """
    good = [each for each in found if each.efficiency >= least_efficiency]
    if good:
        return min(good, key=lambda each: (each.seconds, each.workers))
    return max(found, key=lambda each: (each.efficiency, -each.workers))


def divides(layout: Layout, workers: int) -> bool:
    """Return whether the replicas of `workers` workers can share the batch, which the trainer requires."""
    if layout.strategy == PARAMETER_SERVER:
        return True
    replicas = workers * layout.replicas_per_worker
    if layout.min_workers is None:
        return layout.batch % replicas == 0
    return layout.batch % layout.replicas_per_worker == 0 and layout.batch >= replicas


def _estimate(given: Assumptions, layout: Layout, workers: int, alone: float) -> Estimate:
    step = _step(given, layout, workers)
    seconds = step.seconds * layout.steps
    has_ps = layout.strategy == PARAMETER_SERVER and not given.cores
    return Estimate(
        workers=workers,
        step=step,
        examples_per_second=layout.batch / step.seconds,
        seconds=seconds,
        gpu_hours=(layout.other_gpus + workers * layout.gpus_per_worker) * seconds / 3600,
        efficiency=alone / step.seconds / workers,
        ps_needed=ps_needed(given, layout.batch, workers) if has_ps else None,
    )


def _step(given: Assumptions, layout: Layout, workers: int) -> Step:
    if layout.strategy == PARAMETER_SERVER:
        return parameter_server(given, layout.batch, workers, layout.ps)
    replicas = workers * layout.replicas_per_worker
    # The replica with the most examples is the last one to end its step.
    return all_reduce(given, -(-layout.batch // replicas) * replicas, replicas)


def _exposed(transfer: float, compute: float, overlap: float) -> float:
    """Return the seconds of a transfer that the computation does not hide."""
    return max(0.0, transfer - overlap * compute)
