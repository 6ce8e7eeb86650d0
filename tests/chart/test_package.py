"""The packaged chart holds what Helm users and Artifact Hub expect."""

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, tool
from tfd.jobfile.schema import defaults

METADATA = yaml.safe_load((CHART / "Chart.yaml").read_text())
CHARTS = sorted(path.parent for path in (ROOT / "charts").glob("*/Chart.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_package_holds_schema_readme_license_and_rules(helm: str, tmp_path: Path) -> None:
    subprocess.run([tool(helm), "package", CHART, "--destination", tmp_path], check=True, capture_output=True)
    with tarfile.open(next(tmp_path.iterdir())) as package:
        names = {name.removeprefix("tf-distributed/") for name in package.getnames()}
    assert names >= {"values.schema.json", "README.md", "LICENSE", "templates/rules/validate.yaml"}
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.slow
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_lint_is_clean(helm: str) -> None:
    command = [tool(helm), "lint", "--strict", str(CHART), "--set", "storage.claim=runs", "--kube-version", "1.37.0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "[" not in done.stdout


def test_license_of_the_package_is_that_of_the_project() -> None:
    assert (CHART / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_artifact_hub_lists_the_images_of_the_defaults() -> None:
    images = yaml.safe_load(METADATA["annotations"]["artifacthub.io/images"])
    values = defaults()
    assert [image["image"] for image in images] == [
        values["image"], values["tensorboard"]["image"], values["code"]["image"],
    ]  # fmt: skip


# The rules of `ah lint` for charts. No registry serves its module.
CATEGORIES = {
    "ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security",
    "skip-prediction", "storage", "streaming-messaging",
}  # fmt: skip
KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_artifact_hub_accepts_the_metadata(chart: Path) -> None:
    metadata = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert {"name", "version", "description", "home", "icon", "keywords", "maintainers", "sources"} <= set(metadata)
    notes = {key.removeprefix("artifacthub.io/"): value for key, value in metadata["annotations"].items()}
    assert notes["category"] in CATEGORIES
    assert notes["license"] == "Apache-2.0"
    changes, links, images = (yaml.safe_load(notes[key]) for key in ("changes", "links", "images"))
    assert changes and all(each["kind"] in KINDS and each["description"] for each in changes)
    assert links and all(each["name"] and each["url"].startswith("https://") for each in links)
    assert images and all(each["name"] and ":" in each["image"].rpartition("/")[2] for each in images)
    assert all(each["name"] and each["url"] for each in metadata["maintainers"])


def test_icon_of_the_chart_is_in_the_repository() -> None:
    path = METADATA["icon"].partition("/main/")[2]
    assert (ROOT / path).is_file()
