"""Rendering is a function of the job file alone."""

from pathlib import Path

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, by_name, objects, render, rendered
from tfd.jobfile import helm_yaml

FILES = EXAMPLES + ACCEPTED


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_renderings_have_the_same_bytes(path: Path) -> None:
    assert render(path) == rendered(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_helm_3_and_helm_4_give_the_same_objects(path: Path) -> None:
    assert by_name(helm_yaml.load_all(render(path, helm="helm3"))) == by_name(objects(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_objects_have_unique_names(path: Path) -> None:
    assert len(by_name(objects(path))) == len(objects(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_object_is_in_the_namespace_of_the_release(path: Path) -> None:
    assert {o["metadata"]["namespace"] for o in objects(path)} == {"team"}
