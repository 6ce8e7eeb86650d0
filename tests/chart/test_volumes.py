"""The volumes of a run: one for each source, each mounted, and what can be written."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, objects, record
from tests.chart.volumes import pod_specs, problems


@pytest.mark.parametrize("path", [*EXAMPLES, *ACCEPTED], ids=lambda path: path.stem)
def test_volumes_of_an_accepted_file_fit_their_mounts(path: Path) -> None:
    assert [problem for spec in pod_specs(objects(path)) for problem in problems(spec)] == []


MOUNTS = [{"at": "/models", "claim": "models"}, {"at": "/cache", "scratch": "1Gi"}]
BREAKS: dict[str, Any] = {
    "two volumes have one name": lambda volumes, mounts: volumes.append(volumes[0]),
    "two volumes have one claim": lambda volumes, mounts: volumes[-2]["persistentVolumeClaim"].update(claimName="runs"),
    "not every volume is mounted, or not every mount has a volume": lambda volumes, mounts: mounts.pop(),
    "trainer has a mount inside another one": lambda volumes, mounts: mounts[-1].update(mountPath="/models/cache"),
    "trainer can write to /models": lambda volumes, mounts: mounts[-2].pop("readOnly"),
}


@pytest.mark.parametrize("problem", BREAKS)
def test_a_pod_with_one_problem_is_found(problem: str) -> None:
    [spec] = pod_specs(objects({"storage": {"claim": "runs"}, "mounts": MOUNTS, "tensorboard": {"enabled": False}}))
    spec = copy.deepcopy(spec)
    BREAKS[problem](spec["volumes"], spec["containers"][0]["volumeMounts"])
    assert list(problems(spec)) == [problem]


def test_no_mounts_and_an_empty_list_are_one_identity() -> None:
    job = {"storage": {"claim": "runs"}}
    assert record(objects(job)) == record(objects(job | {"mounts": []}))
