"""The version is the same everywhere, and locks name no registry."""

import re

import pytest

from tests.conventions.repository import ROOT

CHARTS = ROOT / "charts"


@pytest.mark.parametrize("name", ["tf-distributed", "workbench"])
def test_chart_app_package_and_images_have_one_version(name: str) -> None:
    chart = (CHARTS / name / "Chart.yaml").read_text()
    values = (CHARTS / name / "values.yaml").read_text()
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), flags=re.M)
    assert re.findall(r"^version: (.+)$", chart, flags=re.M) == [version]
    assert re.findall(r'^appVersion: "?([^"\n]+)"?$', chart, flags=re.M) == [version]
    images = re.findall(r"image: \S*tf-distributed/\w+:(.+)$", values, flags=re.M)
    assert images and set(images) == {version}


def test_locks_name_no_registry() -> None:
    for lock in (ROOT / "requirements").iterdir():
        assert "://" not in lock.read_text(), lock
