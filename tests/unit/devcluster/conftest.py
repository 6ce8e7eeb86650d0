"""Each test has a private state folder and cache; no test needs root or a cluster unless marked `cluster`."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    if not request.node.get_closest_marker("cluster"):
        monkeypatch.setenv("TFD_CLUSTER_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("TFD_CACHE", str(tmp_path / "cache"))
    yield tmp_path
