"""Renders each job file once for all tests of the review: most of their time is Helm's, and many files are the same."""

import hashlib
from functools import cache
from pathlib import Path
from threading import Lock

import pytest

from tfd import assets
from tfd.jobfile import helm

MOST = 500
_template = helm.template
_known: dict[tuple[str, str, bytes, bytes], str | helm.HelmError] = {}
_lock = Lock()


@cache
def digest(chart: Path) -> bytes:
    """Return a hash of all files of a chart. Each review exports charts to a new folder and changes none of them."""
    files = sorted(path for path in chart.rglob("*") if path.is_file())
    parts = (part for path in files for part in (str(path.relative_to(chart)).encode(), b"\0", path.read_bytes()))
    return hashlib.sha256(b"\0".join(parts)).digest()


def template(run: str, team: str, values: Path, chart: Path = assets.CHART) -> str:
    """Return what Helm printed for the same file and chart, or ask it."""
    key = run, team, values.read_bytes(), digest(chart)
    found = _known.get(key)
    if found is None:
        try:
            found = _template(run, team, values, chart)
        except helm.HelmError as error:
            found = error
        with _lock:
            if len(_known) == MOST:
                _known.pop(next(iter(_known)))
            _known[key] = found
    if isinstance(found, helm.HelmError):
        raise found
    return found


@pytest.fixture(autouse=True)
def one_rendering_of_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Helm remember its output."""
    monkeypatch.setattr(helm, "template", template)
