"""Each change of an elastic run that can happen to it, with real processes and a real network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import Recovered
from tests.network import NetworkError, network
from tests.soak.checks import disorder
from tests.soak.observer import Observer
from tests.soak.scenarios import SCENARIOS
from tests.soak.stage import Stage
from tests.soak.tasks import tasks_of

pytestmark = [pytest.mark.processes, pytest.mark.slow]

STEPS = 1_000_000


CASES = [(strategy, scenario) for strategy, scenarios in SCENARIOS.items() for scenario in scenarios]


@pytest.mark.parametrize(
    ("strategy", "scenario"), [pytest.param(*case, id=f"{case[0]}-{case[1].__name__}") for case in CASES]
)
def test_run_survives_a_change_and_never_trains_twice(
    tmp_path: Path, recovered: Recovered, strategy: str, scenario: Callable[[Stage], None]
) -> None:
    try:
        with network(["host"]):
            pass
    except NetworkError as error:
        pytest.skip(f"this machine allows no network namespace: {error}")
    with tasks_of(strategy, tmp_path, STEPS) as tasks, Observer(tasks.run_dir) as observer:
        stage = Stage(tasks, observer)
        scenario(stage)
        tasks.stop()
        assert disorder(tasks, observer) == []
    for change, seconds in stage.seconds.items():
        for each in seconds:
            recovered(strategy, change, each)
