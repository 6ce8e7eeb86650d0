"""Predict all runs with the model of `tfd plan`, and compare the predictions with what was measured.

The model gets the speed of one device from OneDevice runs. It gets the bandwidth and the overhead of a step from runs
with three workers and the smallest batch, for each strategy. All other runs are predicted.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.scaling.runs import Measured, Setting
from tfd.planning import model

STRATEGIES: Final = ("MultiWorkerMirrored", "ParameterServer")
WORKERS: Final = (1, 2, 3, 4)
PARAMETERS: Final = {32: 85_066, 256: 5_382_666}
"""Width -> trainable parameters of the digits task; a test compares them with the model."""
BATCH: Final = {32: 384, 256: 12}
"""Width -> batch size, a multiple of all WORKERS."""
_PROBES: Final = 3
"""Workers of the runs that show bandwidth and overhead: two do not keep all cores busy with transfers."""
_BYTES: Final = 4
_FASTEST: Final = 1e12
"""Bandwidth if the probes show none: transfers take no time then."""
GOAL: Final = 0.25


def settings(scale: float = 1.0) -> list[Setting]:
    """Return all runs of a round; `scale` multiplies their steps."""

    def setting(strategy: str, workers: int, width: int, batch: int, steps: int) -> Setting:
        return Setting(
            strategy=strategy, workers=workers, width=width, batch=batch, steps=max(5, int(steps * scale) // 5 * 5)
        )

    found = []
    for width, batch in BATCH.items():
        steps = 600 if width == min(BATCH) else 250
        found += [setting("OneDevice", 1, width, smallest, 4 * steps) for smallest in (1, 2)]
        found.append(setting("OneDevice", 1, width, batch, steps))
        for strategy in STRATEGIES:
            found.append(setting(strategy, _PROBES, width, probe_batch(strategy), 2 * steps))
            found += [setting(strategy, workers, width, batch, steps) for workers in WORKERS]
    return found


def probe_batch(strategy: str) -> int:
    """Return the smallest batch of the probes' workers: under ParameterServer each of them takes a whole batch."""
    return 1 if strategy == "ParameterServer" else _PROBES


@dataclass(frozen=True, kw_only=True)
class Row:
    """One prediction."""

    strategy: str
    workers: int
    parameters: int
    predicted: float
    measured: float
    others: float

    @property
    def error(self) -> float:
        """The predicted seconds of a step relative to the measured ones, minus 1."""
        return self.predicted / self.measured - 1


def compare(results: Mapping[str, Sequence[Measured]], cores: float) -> list[Row]:
    """Return all predictions for `results`, which are one or more measurements per key of a setting.

    The fastest measurement counts, because other programs make a run slower and never faster.
    """

    def fastest(strategy: str, workers: int, width: int, batch: int) -> Measured:
        return min(results[_key(strategy, workers, width, batch)], key=lambda each: each.step_seconds)

    def seconds(strategy: str, workers: int, width: int, batch: int) -> float:
        return fastest(strategy, workers, width, batch).step_seconds

    devices = {
        width: model.fit((each, seconds("OneDevice", 1, width, each)) for each in (1, 2, batch))
        for width, batch in BATCH.items()
    }
    rows = []
    for strategy in STRATEGIES:
        probes = {width: seconds(strategy, _PROBES, width, probe_batch(strategy)) for width in BATCH}
        bandwidth, overhead = calibrate(strategy, probes, devices)
        for width, batch in BATCH.items():
            given = model.Assumptions(
                device=devices[width],
                bytes_per_step=_BYTES * PARAMETERS[width],
                bandwidth=bandwidth,
                latency=0.0,
                overlap=0.0,
                overhead=overhead,
                ps_imbalance=1.0,
                cores=cores,
                device_cores=cores,
            )
            layout = model.Layout(strategy=strategy, batch=batch, steps=1)
            for each in model.estimates(given, layout, WORKERS):
                measured = fastest(strategy, each.workers, width, batch)
                rows.append(
                    Row(
                        strategy=strategy,
                        workers=each.workers,
                        parameters=PARAMETERS[width],
                        predicted=each.step.seconds,
                        measured=measured.step_seconds,
                        others=measured.others,
                    )
                )
    return rows


def calibrate(strategy: str, probes: Mapping[int, float], devices: Mapping[int, model.Device]) -> tuple[float, float]:
    """Return bandwidth and overhead, which the probes of both widths show together.

    On one machine, the step of a probe takes `c (t(1) + overhead) + 2 m S / bandwidth`: c and m are 1 under
    ParameterServer, and otherwise the number of workers, and one less. This is the model for that number of workers.
    """
    shared, links = (1, 1) if strategy == "ParameterServer" else (_PROBES, _PROBES - 1)
    rest = {width: probes[width] - shared * devices[width].seconds(1) for width in probes}
    small, large = min(probes), max(probes)
    size = {width: 2 * links * _BYTES * PARAMETERS[width] for width in probes}
    per_byte = max(1 / _FASTEST, (rest[large] - rest[small]) / (size[large] - size[small]))
    return 1 / per_byte, max(0.0, (rest[small] - size[small] * per_byte) / shared)


def markdown(rows: Sequence[Row]) -> str:
    """Return the predictions as a table, and the largest errors."""
    lines = [
        "| strategy | parameters | workers | predicted step | measured step | error | cores used by other programs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {each.strategy} | {each.parameters:,} | {each.workers} | {1000 * each.predicted:.1f} ms "
        f"| {1000 * each.measured:.1f} ms | {each.error:+.0%} | {each.others:.1f} |"
        for each in rows
    ]
    for strategy in STRATEGIES:
        errors = [abs(each.error) for each in rows if each.strategy == strategy]
        within = sum(each <= GOAL for each in errors)
        lines += [
            "",
            f"{strategy}: {within} of {len(errors)} predictions are within {GOAL:.0%}, "
            f"the median error is {statistics.median(errors):.0%} and the largest {max(errors):.0%}.",
        ]
    return "\n".join(lines) + "\n"


def _key(strategy: str, workers: int, width: int, batch: int) -> str:
    return Setting(strategy=strategy, workers=workers, width=width, batch=batch, steps=0).key
