"""The comparison of `tfd plan` with measured runs: on a machine that behaves as the model, no prediction is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.scaling import comparison
from bench.scaling.__main__ import read, write
from bench.scaling.runs import Measured, Setting
from tfd.planning import model

CORES = 2
DEVICES = {32: model.Device(fixed=0.001, per_example=0.0001), 256: model.Device(fixed=0.03, per_example=0.002)}


def given(width: int) -> model.Assumptions:
    return model.Assumptions(
        device=DEVICES[width],
        bytes_per_step=4 * comparison.PARAMETERS[width],
        bandwidth=1e9,
        latency=0,
        overlap=0,
        overhead=0.003,
        ps_imbalance=1,
        cores=CORES,
        device_cores=CORES,
    )


def seconds(setting: Setting) -> float:
    """Return the step on a machine that is as the model."""
    if setting.strategy == "OneDevice":
        return DEVICES[setting.width].seconds(setting.batch)
    layout = model.Layout(strategy=setting.strategy, batch=setting.batch, steps=1)
    return model.estimates(given(setting.width), layout, [setting.workers])[0].step.seconds


def results() -> dict[str, list[Measured]]:
    return {each.key: [Measured(step_seconds=seconds(each), busy=2, others=0)] for each in comparison.settings()}


def test_bandwidth_and_overhead_are_found_and_nothing_is_wrong() -> None:
    rows = comparison.compare(results(), CORES)
    assert len(rows) == 16
    assert [each.error for each in rows] == pytest.approx([0] * 16, abs=0.001)
    assert "8 of 8 predictions are within 25%" in comparison.markdown(rows)


def test_a_machine_that_is_slower_than_predicted_shows() -> None:
    slower = results()
    key = "MultiWorkerMirrored-4-width32-batch384"
    slower[key] = [replace(slower[key][0], step_seconds=2 * slower[key][0].step_seconds)]
    [row] = [each for each in comparison.compare(slower, CORES) if abs(each.error) > 0.01]
    assert (row.strategy, row.workers, row.error) == ("MultiWorkerMirrored", 4, pytest.approx(-0.5))
    assert "7 of 8 predictions are within 25%" in comparison.markdown(comparison.compare(slower, CORES))


def test_the_fastest_of_several_measurements_counts() -> None:
    disturbed = {key: [replace(runs[0], step_seconds=9.0), *runs] for key, runs in results().items()}
    assert comparison.compare(disturbed, CORES) == comparison.compare(results(), CORES)


def test_a_measurement_continues_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "scaling.json"
    assert read(path) == {}
    write(results(), path)
    assert read(path) == results()


@pytest.mark.slow
def test_the_parameters_are_those_of_the_models() -> None:
    from trainer.tasks.digits import Digits

    counted = {
        width: Digits({**Digits.defaults, "width": width}).model().count_params() for width in comparison.PARAMETERS
    }
    assert counted == comparison.PARAMETERS
