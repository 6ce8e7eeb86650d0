"""The Dockerfile of the guide about images fits the image of the trainer and what the chart sets."""

import re

import yaml

from release.pages import steps
from tests.conventions.repository import ROOT

DOCKERFILE = (ROOT / "trainer" / "Dockerfile").read_text(encoding="utf-8")
VALUES = yaml.safe_load((ROOT / "charts" / "tf-distributed" / "values.yaml").read_text(encoding="utf-8"))
[OWN] = [step.text for step in steps(ROOT / "docs" / "guides" / "custom-image.md") if step.path == "Dockerfile"]


def words(name: str, text: str) -> list[str]:
    """Return what stands behind each instruction of a name."""
    return re.findall(rf"^{name} (.+)$", text, flags=re.M)


def test_base_is_the_default_image_of_the_chart() -> None:
    assert words("FROM", OWN) == [VALUES["image"]]


def test_code_is_copied_to_the_working_directory_of_the_trainer() -> None:
    [copied] = words("COPY", OWN)
    assert {copied.split()[-1].rpartition("/")[0]} == set(words("WORKDIR", DOCKERFILE)) - {"/home/workbench"}


def test_last_user_is_that_of_the_trainer_and_of_the_chart() -> None:
    user = words("USER", OWN)[-1]
    assert {user} == set(words("USER", DOCKERFILE))
    assert user.partition(":")[0] == str(VALUES["runAsUser"])
