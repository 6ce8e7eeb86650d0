"""Small runs whose tasks are shell commands: the rules of `tfd run` without TensorFlow's start-up time."""

import os
from pathlib import Path

import pytest

from tests.integration.local_run import local_run  # noqa: F401
from tests.unit.tfd.fake_cluster import Cluster


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each line of output on one line, whatever the width of the terminal that runs the tests."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return the cluster that the kubectl on the PATH answers for."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Cluster(tmp_path)
