"""The review of a pull request in a repository with 1,000 job files of 20 teams."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from devcluster.paths import CHECKOUT, REGISTRY
from devcluster.repository import Repository, chart_version
from tests.e2e.kube import Object
from tests.e2e.scale import cost
from tests.e2e.team import job

pytestmark = pytest.mark.scale

FILES = 1000
TEAMS = 20
REVIEW = [sys.executable, "-m", "tfd", "review", "--base", "origin/main", "--head", "HEAD"]
IMAGE = f"{REGISTRY}/trainer@sha256:{'0' * 64}"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository with 1,000 merged job files."""
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    made = Repository(bare, tmp_path / "clone")
    made.start()
    made.push("1,000 runs", {name(number): text() for number in range(FILES)})
    made.git("fetch", "--quiet")
    return made


def name(number: int) -> str:
    return f"jobs/team-{number % TEAMS}/run-{number}.yaml"


def text(**more: object) -> str:
    values: Object = {"chartVersion": chart_version(), "image": IMAGE} | job("OneDevice") | more
    return json.dumps(values, indent=1)


def test_review_in_a_repository_of_1000_job_files(repository: Repository, request: pytest.FixtureRequest) -> None:
    """Among 1,000 job files, a pull request adds one run, suspends 20 runs, or suspends 200 runs, which is the largest
    number. Each review exits with 0, and its time is recorded."""
    changes: dict[str, Mapping[str, str]] = {
        "1 new job file": {"jobs/team-1/new.yaml": text(trainer={"task": "digits", "seed": 1})},
        "20 changed job files": {name(number): text(state="suspended") for number in range(20)},
        "200 changed job files": {name(number): text(state="suspended") for number in range(200)},
    }
    for what, files in changes.items():
        repository.git("checkout", "--quiet", "-B", "change", "origin/main")
        repository.commit(files, what)
        found = cost(REVIEW, {"PYTHONPATH": str(CHECKOUT)}, repository.clone, times=3)
        record = request.node.user_properties
        record += [
            ("timing", (f"review of {what}", found.wall)),
            ("figure", (f"{what}: CPU time", f"{found.cpu:.1f} s")),
        ]
