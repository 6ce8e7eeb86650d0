"""Rendering is a function of the job file alone."""

import json
import re
from pathlib import Path

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, TEMPLATES, by_name, objects, render, rendered
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


def test_two_runs_never_share_an_object() -> None:
    """A kind with an object RUN and an object RUN-END needs the end to be reserved: no run has such a name."""
    [text] = re.findall(r'define "tf-distributed.reservedEnds" -}}\n(.+)\n', (TEMPLATES / "_names.tpl").read_text())
    ends: dict[str, set[str]] = {}
    for path in FILES:
        for item in objects(path):
            name = item["metadata"]["name"]
            assert name == path.stem or name.startswith(f"{path.stem}-")
            ends.setdefault(item["kind"], set()).add(name.removeprefix(path.stem).removeprefix("-"))
    shared = set().union(*(found - {""} for found in ends.values() if "" in found))
    # The objects of a workbench have an end of their own.
    assert shared | {"workbench"} == set(json.loads(text))
    # No end is the end of another one, so RUN-END has one reading.
    every = set().union(*ends.values()) - {""}
    assert not any("-" in end for end in every)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_object_is_in_the_namespace_of_the_release(path: Path) -> None:
    assert {o["metadata"]["namespace"] for o in objects(path)} == {"team"}
