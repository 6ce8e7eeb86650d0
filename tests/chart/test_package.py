"""The packaged chart holds what Helm users and Artifact Hub expect."""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.contents import charts
from tests.chart.rendering import CHART, ROOT, tool

EACH = pytest.mark.parametrize("chart", charts(), ids=lambda chart: chart.name)


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_package_holds_schema_readme_license_and_rules(chart: Path, helm: str, tmp_path: Path) -> None:
    subprocess.run([tool(helm), "package", chart, "--destination", tmp_path], check=True, capture_output=True)
    [package] = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        names = {name.removeprefix(f"{chart.name}/") for name in archive.getnames()}
    assert names >= {"values.schema.json", "README.md", "LICENSE", "templates/rules/validate.yaml"}
    assert not [name for name in names if name.startswith("tests/")]
    shown = subprocess.run([tool(helm), "show", "readme", package], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == (chart / "README.md").read_text().strip()


@pytest.mark.slow
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_lint_is_clean(helm: str) -> None:
    command = [tool(helm), "lint", "--strict", str(CHART), "--set", "storage.claim=runs", "--kube-version", "1.37.0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "[" not in done.stdout


@EACH
def test_license_of_the_package_is_that_of_the_project(chart: Path) -> None:
    assert (chart / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def metadata(chart: Path) -> Any:
    return yaml.safe_load((chart / "Chart.yaml").read_text())


def images(values: Any) -> Iterator[str]:
    """Yield the value of each key `image`, at any depth."""
    for key, value in values.items():
        if key == "image":
            yield value
        elif isinstance(value, dict):
            yield from images(value)


@EACH
def test_artifact_hub_lists_the_images_of_the_defaults(chart: Path) -> None:
    listed = yaml.safe_load(metadata(chart)["annotations"]["artifacthub.io/images"])
    used = images(yaml.safe_load((chart / "values.yaml").read_text()))
    assert sorted(image["image"] for image in listed) == sorted(used)


# The rules of `ah lint` for charts. No registry serves its module.
CATEGORIES = {
    "ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security",
    "skip-prediction", "storage", "streaming-messaging",
}  # fmt: skip
KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


@EACH
def test_artifact_hub_accepts_the_metadata(chart: Path) -> None:
    found = metadata(chart)
    assert {"name", "version", "description", "home", "icon", "keywords", "maintainers", "sources"} <= set(found)
    notes = {key.removeprefix("artifacthub.io/"): value for key, value in found["annotations"].items()}
    assert notes["category"] in CATEGORIES
    assert notes["license"] == "Apache-2.0"
    changes, links, listed = (yaml.safe_load(notes[key]) for key in ("changes", "links", "images"))
    assert changes and all(each["kind"] in KINDS and each["description"] for each in changes)
    assert links and all(each["name"] and each["url"].startswith("https://") for each in links)
    assert listed and all(each["name"] and ":" in each["image"].rpartition("/")[2] for each in listed)
    assert all(each["name"] and each["url"] for each in found["maintainers"])


@EACH
def test_icon_of_the_chart_is_in_the_repository(chart: Path) -> None:
    path = metadata(chart)["icon"].partition("/main/")[2]
    assert (ROOT / path).is_file()
