"""The cluster's state and cache in a folder of the test's own; no root and no cluster is needed."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    if not request.node.get_closest_marker("cluster"):
        monkeypatch.setenv("TFD_CLUSTER_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("TFD_CACHE", str(tmp_path / "cache"))
    yield tmp_path
