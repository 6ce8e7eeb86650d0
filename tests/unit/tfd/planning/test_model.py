"""The scaling model: numbers computed by hand, and properties that hold for all runs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfd.planning import model
from tfd.planning.model import Assumptions, Device, Layout

# 100 examples per second, 100 MB per step, 10 Gbit/s: 0.08 s for all bytes in one direction.
USUAL = Assumptions(
    device=Device(fixed=0, per_example=0.01),
    bytes_per_step=100e6,
    bandwidth=1.25e9,
    latency=0,
    overlap=0,
    overhead=0,
    ps_imbalance=1,
)
BATCH = 64
ONE_MACHINE = replace(USUAL, cores=2, device_cores=2)

shares = st.floats(0, 1)
times = st.floats(0, 10)
counts = st.integers(1, 64)
anything = st.builds(
    Assumptions,
    device=st.builds(Device, fixed=times, per_example=st.floats(1e-6, 10)),
    bytes_per_step=st.floats(0, 1e12),
    bandwidth=st.floats(1e3, 1e12),
    latency=times,
    overlap=shares,
    overhead=times,
    ps_imbalance=st.floats(1, 10),
)
on_one_machine = st.builds(
    lambda given, cores, share: replace(given, cores=cores, device_cores=cores * share),
    anything,
    st.floats(1, 64),
    st.floats(0.01, 1),
)
machines = anything | on_one_machine


def steps(given: Assumptions, workers: int, ps: int = 2) -> tuple[float, float]:
    """Return the seconds of a step of both strategies."""
    one = model.all_reduce(given, BATCH, workers).seconds
    return one, model.parameter_server(given, BATCH, workers, ps).seconds


def no_longer(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return whether no step of `one` is longer than that of `other`, apart from rounding."""
    return all(a <= b * (1 + 1e-9) for a, b in zip(one, other, strict=True))


def test_ring_of_four_computes_a_quarter_and_sends_three_halves_of_the_bytes() -> None:
    step = model.all_reduce(USUAL, BATCH, 4)
    assert (step.compute, step.transfer) == pytest.approx((0.16, 2 * 3 / 4 * 0.08))
    assert step.seconds == pytest.approx(0.28)
    assert step.bottleneck == model.COMPUTE
    assert model.all_reduce(replace(USUAL, latency=0.001), BATCH, 4).seconds == pytest.approx(0.28 + 6 * 0.001)
    assert model.all_reduce(replace(USUAL, overhead=0.01), BATCH, 4).seconds == pytest.approx(0.29)


def test_overlap_hides_transfers_behind_that_share_of_the_computation() -> None:
    assert model.all_reduce(replace(USUAL, overlap=0.5), BATCH, 4).seconds == pytest.approx(0.16 + 0.12 - 0.08)
    assert model.all_reduce(replace(USUAL, overlap=1), BATCH, 4).seconds == pytest.approx(0.16)
    hidden = model.parameter_server(replace(USUAL, overlap=0.125), BATCH, 1, 1)
    assert hidden.seconds == pytest.approx(0.64 + 0.16 - 0.08)


def test_network_is_the_limit_of_a_ring_whose_computation_is_shorter() -> None:
    step = model.all_reduce(USUAL, BATCH, 8)
    assert (step.compute, step.transfer, step.bottleneck) == (pytest.approx(0.08), pytest.approx(0.14), model.NETWORK)


def test_one_replica_sends_nothing() -> None:
    step = model.all_reduce(replace(USUAL, latency=1, overhead=1), BATCH, 1)
    assert (step.seconds, step.transfer, step.bottleneck) == (pytest.approx(0.64), 0, model.COMPUTE)


@pytest.mark.parametrize(
    ("workers", "ps", "seconds", "limit"),
    [
        (1, 1, 0.64 + 0.16, model.COMPUTE),
        (8, 1, 0.8 / 8, model.COMPUTE),
        (16, 1, 0.08, model.PS),  # each step takes 0.08 s of the ps
        (16, 2, 0.8 / 16, model.COMPUTE),
        (40, 2, 0.04, model.PS),
    ],
)
def test_workers_take_turns_until_the_ps_are_the_limit(workers: int, ps: int, seconds: float, limit: str) -> None:
    step = model.parameter_server(USUAL, BATCH, workers, ps)
    assert (step.seconds, step.bottleneck) == (pytest.approx(seconds), limit)


def test_network_is_the_limit_of_workers_that_compute_for_a_shorter_time() -> None:
    step = model.parameter_server(replace(USUAL, device=Device(fixed=0, per_example=0.001)), BATCH, 1, 4)
    assert (step.seconds, step.bottleneck) == (pytest.approx(0.064 + 0.16), model.NETWORK)


def test_number_of_ps_follows_workers_and_imbalance() -> None:
    assert model.ps_needed(USUAL, BATCH, 8) == 1
    assert model.ps_needed(USUAL, BATCH, 16) == 2  # 16 * 0.08 / 0.8 = 1.6
    assert model.ps_needed(USUAL, BATCH, 101) == 11  # 101 * 0.08 / 0.8 = 10.1
    assert model.ps_needed(replace(USUAL, ps_imbalance=1.5), BATCH, 16) == 3  # 2.4


def test_replicas_of_one_machine_share_its_cores_and_its_bandwidth() -> None:
    step = model.all_reduce(ONE_MACHINE, BATCH, 2)
    assert (step.compute, step.transfer, step.bottleneck) == (pytest.approx(0.64), pytest.approx(0.16), model.CORES)
    half = replace(ONE_MACHINE, device_cores=1)
    assert model.all_reduce(half, BATCH, 2).seconds == pytest.approx(0.32 + 0.16)
    assert model.all_reduce(half, BATCH, 2).bottleneck == model.COMPUTE


def test_workers_of_one_machine_share_its_cores_whatever_the_ps() -> None:
    half = replace(ONE_MACHINE, device_cores=1)
    for ps in (1, 5):
        step = model.parameter_server(half, BATCH, 4, ps)
        assert (step.seconds, step.bottleneck) == (pytest.approx(0.32 + 0.16), model.CORES)
    assert model.parameter_server(half, BATCH, 1, 1).seconds == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("measured", "fixed", "per_example"),
    [
        ([(32, 0.32)], 0, 0.01),
        ([(32, 0.3), (32, 0.34)], 0, 0.01),
        ([(32, 0.42), (64, 0.74)], 0.1, 0.01),
        ([(32, 0.4), (32, 0.44), (64, 0.74)], 0.1, 0.01),
        ([(1, 1.0), (2, 3.0)], 0, 1.4),  # the line would begin below 0
        ([(32, 0.5), (64, 0.3)], 0.4, 0),  # a larger batch is not faster
    ],
)
def test_speed_is_fitted_to_steps_and_never_negative(
    measured: list[tuple[int, float]], fixed: float, per_example: float
) -> None:
    device = model.fit(measured)
    assert (device.fixed, device.per_example) == pytest.approx((fixed, per_example))


def test_estimate_counts_examples_time_and_gpu_hours() -> None:
    layout = Layout(
        strategy="MultiWorkerMirrored", batch=BATCH, steps=9000, replicas_per_worker=2, gpus_per_worker=2, other_gpus=1
    )
    one, two = model.estimates(USUAL, layout, [1, 2])
    # One worker is a ring of two: 0.32 + 0.08. Two workers are a ring of four: 0.16 + 0.12.
    assert (one.step.seconds, two.step.seconds) == pytest.approx((0.4, 0.28))
    assert two.examples_per_second == pytest.approx(64 / 0.28)
    assert two.seconds == pytest.approx(2520)
    assert two.gpu_hours == pytest.approx(5 * 0.7)
    assert (one.efficiency, two.efficiency) == pytest.approx((1, 0.4 / 0.56))
    assert two.ps_needed is None


def test_best_is_the_fastest_that_is_efficient_enough() -> None:
    layout = Layout(strategy="MultiWorkerMirrored", batch=BATCH, steps=100)
    found = model.estimates(USUAL, layout, [1, 2, 4, 8])
    # Efficiencies: 1, 0.8, 0.57 and 0.36; seconds of a step: 0.64, 0.4, 0.28 and 0.22.
    assert [model.best(found, least).workers for least in (0, 0.5, 0.7, 0.9)] == [8, 4, 2, 1]


def test_of_equally_fast_numbers_the_smallest_is_best() -> None:
    layout = Layout(strategy="ParameterServer", batch=BATCH, steps=100)
    found = model.estimates(USUAL, layout, [8, 10, 12, 14])
    assert [each.step.bottleneck for each in found] == [model.COMPUTE, model.COMPUTE, model.PS, model.PS]
    assert model.best(found, 0.0).workers == 10


def test_replicas_of_a_ring_share_the_batch_and_workers_with_ps_take_whole_batches() -> None:
    ring = Layout(strategy="MultiWorkerMirrored", batch=64, steps=1, replicas_per_worker=2)
    assert [count for count in range(1, 9) if model.divides(ring, count)] == [1, 2, 4, 8]
    assert model.divides(replace(ring, strategy="ParameterServer"), 3)


@given(anything, counts)
def test_without_transfers_a_ring_is_as_fast_as_its_replicas_together(found: Assumptions, workers: int) -> None:
    free = replace(found, device=replace(found.device, fixed=0), bytes_per_step=0, latency=0, overhead=0)
    alone = model.all_reduce(free, BATCH, 1).seconds
    assert model.all_reduce(free, BATCH, workers).seconds == pytest.approx(alone / workers)
    assert model.parameter_server(free, BATCH, workers, 1).seconds == pytest.approx(alone / workers)


@given(anything, counts)
def test_speed_approaches_the_linear_one_as_the_bandwidth_grows(found: Assumptions, workers: int) -> None:
    free = replace(found, device=replace(found.device, fixed=0), latency=0, overhead=0, bandwidth=1e30)
    alone = model.all_reduce(free, BATCH, 1).seconds
    assert steps(free, workers) == pytest.approx((alone / workers, alone / workers))


@given(machines, counts, counts, st.floats(1, 100))
def test_faster_networks_and_fewer_bytes_never_slow_a_run(
    found: Assumptions, workers: int, ps: int, factor: float
) -> None:
    now = steps(found, workers, ps)
    assert no_longer(steps(replace(found, bandwidth=found.bandwidth * factor), workers, ps), now)
    assert no_longer(steps(replace(found, bytes_per_step=found.bytes_per_step / factor), workers, ps), now)
    assert no_longer(steps(replace(found, latency=found.latency / factor), workers, ps), now)
    assert no_longer(steps(replace(found, overlap=min(1, found.overlap * factor)), workers, ps), now)


@given(anything, counts, counts)
def test_more_workers_and_more_ps_never_slow_a_parameter_server_run(found: Assumptions, workers: int, ps: int) -> None:
    now = model.parameter_server(found, BATCH, workers, ps).seconds
    assert model.parameter_server(found, BATCH, workers + 1, ps).seconds <= now
    assert model.parameter_server(found, BATCH, workers, ps + 1).seconds <= now


@given(anything, counts)
def test_the_ps_needed_are_enough_and_one_less_is_not(found: Assumptions, workers: int) -> None:
    need = model.ps_needed(found, BATCH, workers)
    assert model.parameter_server(found, BATCH, workers, need).bottleneck != model.PS
    if need > 1:
        assert model.parameter_server(found, BATCH, workers, need - 1).bottleneck == model.PS


@given(machines, counts, st.sampled_from(["MultiWorkerMirrored", "ParameterServer"]))
def test_no_number_of_workers_is_more_than_fully_efficient(found: Assumptions, workers: int, strategy: str) -> None:
    layout = Layout(strategy=strategy, batch=BATCH, steps=10)
    [estimate] = model.estimates(found, layout, [workers])
    assert estimate.efficiency <= 1 + 1e-9


@given(anything, counts, st.floats(1, 64), st.floats(0.01, 1))
def test_one_machine_is_never_faster_than_a_machine_for_each_task(
    found: Assumptions, workers: int, cores: float, share: float
) -> None:
    crowded = replace(found, cores=cores, device_cores=cores * share)
    assert model.all_reduce(found, BATCH, workers).seconds <= model.all_reduce(crowded, BATCH, workers).seconds


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(1e-6, 1e3)), min_size=1, max_size=8))
def test_fitted_speed_is_never_negative_and_takes_time(measured: list[tuple[int, float]]) -> None:
    device = model.fit(measured)
    assert device.fixed >= 0
    assert device.per_example >= 0
    assert device.seconds(1) > 0
