"""The review comment shows an elastic run with the least and the most that it takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.review.conftest import template
from tfd.kinds import RUN
from tfd.review.analysis.actions import Action
from tfd.review.output.summary import table_row, training
from tfd.review.sources.rendering import Rendering

JOB = """
strategy: ParameterServer
storage: {{claim: runs}}
deadline: 8h
ps: {{replicas: 2}}
worker: {{replicas: 8, gpus: 1, resources: {{limits: {{memory: 4Gi}}}}{least}}}
"""
GROUP = """
strategy: MultiWorkerMirrored
storage: {{claim: runs}}
deadline: 8h
trainer: {{steps: 100, batchSize: 64}}
worker: {{replicas: {most}, gpus: 2, resources: {{limits: {{memory: 4Gi}}}}{least}}}
"""


def review(tmp_path: Path, text: str) -> Any:
    """Return the review of a run that starts."""
    values = tmp_path / "run.yaml"
    values.write_text(text)
    rendering = Rendering(template("run", "team", values))
    return SimpleNamespace(kind=RUN, action=Action.STARTS, merged_rendering=rendering, base_rendering=None)


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
    run = review(tmp_path, JOB.format(least=least))
    row = table_row(run)
    assert (row[0], row[1], row[-1]) == (tasks, gpus, gpu_hours)
    assert training(run).startswith("global batch 64, "), "a worker takes a whole batch"


@pytest.mark.parametrize(
    ("most", "least", "tasks", "shares"),
    [
        (3, ", minReplicas: 1", "1 to 3 workers with 2 GPUs each", " (10 to 32 per replica)"),
        (4, ", minReplicas: 4", "4 workers with 2 GPUs each", " (8 per replica)"),
        (4, "", "4 workers with 2 GPUs each", ""),
    ],
    ids=["elastic", "elastic from all workers", "not elastic"],
)
def test_card_shows_the_shares_of_the_batch(tmp_path: Path, most: int, least: str, tasks: str, shares: str) -> None:
    run = review(tmp_path, GROUP.format(most=most, least=least))
    assert table_row(run)[0] == tasks
    assert training(run) == f"global batch 64{shares}, 100 steps, 6,400 examples"
