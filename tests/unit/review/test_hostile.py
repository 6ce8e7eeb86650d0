"""Malformed job files, in the pull request and on the base: each is refused, and none ends the review."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.chart.keys import SCHEMA, resolve
from tests.unit.review.cases import FASTER, MERGED, NEW
from tests.unit.review.repositories import RUN, Case, Files, review_of
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm import RefusedError, template
from tfd.review.analysis.actions import Action
from tfd.review.analysis.findings import Level
from tfd.review.output.comment import LIMIT, comment
from tfd.review.output.json_report import as_json

SHAPES: list[Any] = [
    None,
    [],
    {},
    "x",
    -1,
    True,
    [[]],
    [{}],
    {"a": {"b": [None]}},
    ["x", 1, {"name": "TOKEN", "value": 1}],
]
VALUES = helm_yaml.load(RUN).value


def blocks(node: dict[str, Any] = SCHEMA, key: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every key of a job file, those with keys below it too."""
    found = []
    for name, child in node.get("properties", {}).items():
        found += [(*key, name), *blocks(resolve(child), (*key, name))]
    return found


def job_file(key: tuple[str, ...], shape: Any) -> str:
    """Return a job file in which one key has the value `shape`."""
    values = copy.deepcopy(VALUES)
    block, (*parents, name) = values, key
    for parent in parents:
        if not isinstance(block.get(parent), dict):
            block[parent] = {}
        block = block[parent]
    block[name] = shape
    return json.dumps(values)


@pytest.mark.slow
def test_values_of_every_shape_do_not_end_the_review(tmp_path: Path) -> None:
    """Every key in every shape on the base, and every other key in one of them in the pull request."""
    keys = blocks()
    base: Files = {
        f"jobs/old/n{number}-{kind}.yaml": job_file(key, shape)
        for number, key in enumerate(keys)
        for kind, shape in enumerate(SHAPES)
    }
    head: Files = {
        f"jobs/vision/n{number}.yaml": job_file(key, SHAPES[number // 2 % len(SHAPES)])
        for number, key in enumerate(keys)
        if number % 2
    }
    found = review_of(tmp_path / "r", Case({**head, NEW: FASTER}, {**MERGED, **base}))
    assert len(comment(found).encode()) <= LIMIT
    assert json.loads(json.dumps(as_json(found)))["exitCode"] == found.exit_code == 1
    [fine] = [run for run in found.runs if run.path == NEW]
    assert fine.action is Action.STARTS
    assert fine.nearest


def test_error_of_helm_shows_no_folder_of_the_review(tmp_path: Path) -> None:
    values = tmp_path / "digits-42.yaml"
    values.write_text(f"%YAML 1.2\n---\n{RUN}")
    with pytest.raises(RefusedError, match=r"^failed to parse digits-42\.yaml: "):
        template("digits-42", "vision", values)


@pytest.mark.parametrize("text", ["\x00", "a: b: c\n", "? {}\n: 1\n", "\udcff"])
def test_text_that_blocks_a_team_does_not_end_the_review(text: str, tmp_path: Path) -> None:
    assert "jobs/old/a.yaml" in warned_of(text, tmp_path)


@pytest.mark.parametrize("text", ["\ufeff# only a mark\n", "", "#\n", "&a *a\n", "%TAG ! x\n---\n"])
def test_text_that_argo_cd_reads_does_not_end_the_review(text: str, tmp_path: Path) -> None:
    assert warned_of(text, tmp_path) == set()


def warned_of(text: str, tmp_path: Path) -> set[str]:
    """Review a file with this text, next to one of another team on the base; return the paths of all warnings."""
    path = tmp_path / "bytes"
    path.write_bytes(text.encode(errors="surrogateescape"))
    hostile = path.read_bytes().decode(errors="surrogateescape")
    found = review_of(tmp_path / "r", Case({NEW: hostile}, {**MERGED, "jobs/old/a.yaml": hostile}))
    assert {finding.path for finding in found.of_level(Level.REFUSED)} == {NEW}
    return {finding.path for finding in found.of_level(Level.WARNING)}
