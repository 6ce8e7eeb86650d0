"""The review comment shows an elastic run with the least and the most that it takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.review.conftest import template
from tfd.review.analysis.actions import Action
from tfd.review.output.summary import table_row
from tfd.review.sources.rendering import Rendering

JOB = """
strategy: ParameterServer
storage: {{claim: runs}}
deadline: 8h
ps: {{replicas: 2}}
worker: {{replicas: 8, gpus: 1, resources: {{limits: {{memory: 4Gi}}}}{least}}}
"""


@pytest.mark.parametrize(
    ("least", "tasks", "gpus", "gpu_hours"),
    [
        (", minReplicas: 2", "chief, 2 ps, 2 to 8 workers with 1 GPU each", "2 to 8", "16 to 64"),
        (", minReplicas: 8", "chief, 2 ps, 8 workers with 1 GPU each", "8", "64"),
        ("", "chief, 2 ps, 8 workers with 1 GPU each", "8", "64"),
    ],
    ids=["elastic", "elastic from all workers", "not elastic"],
)
def test_card_shows_the_least_and_the_most(tmp_path: Path, least: str, tasks: str, gpus: str, gpu_hours: str) -> None:
    values = tmp_path / "run.yaml"
    values.write_text(JOB.format(least=least))
    rendering = Rendering(template("run", "team", values))
    run: Any = SimpleNamespace(action=Action.STARTS, merged_rendering=rendering, base_rendering=None)
    row = table_row(run)
    assert (row[0], row[1], row[-1]) == (tasks, gpus, gpu_hours)
