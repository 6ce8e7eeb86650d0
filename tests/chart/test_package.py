"""The packaged chart holds what Helm users and Artifact Hub expect."""

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, tool
from tfd.jobfile.schema import defaults

METADATA = yaml.safe_load((CHART / "Chart.yaml").read_text())


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


def test_icon_of_the_chart_is_in_the_repository() -> None:
    path = METADATA["icon"].partition("/main/")[2]
    assert (ROOT / path).is_file()
