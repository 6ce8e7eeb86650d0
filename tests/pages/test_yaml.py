"""The YAML blocks of the pages: Kubernetes accepts the objects, and the chart accepts the job files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.kubeconform import VERSIONS, kubeconform
from tests.chart.rendering import CHART
from tests.chart.test_pod_security import violations
from tests.conventions.repository import pages, tokens
from tests.pages.blocks import HERE_DOCUMENT, LANGUAGES
from tfd.jobfile.jobfile import JobFile

KEYS = set(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["properties"])
# A kind of another project, which no cluster of these pages has.
FOREIGN = {"TFJob"}
REQUIRED = "\nstorage: {claim: runs}\n"


def fences() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each YAML block, and of each YAML document in a command."""
    for page in pages():
        for token in tokens(page):
            if token.type != "fence" or page.startswith(("tests/", "starter/")):
                continue
            place = f"{page}:{(token.map or [0])[0] + 1}"
            if token.info == "yaml":
                yield place, token.content
            elif token.info in LANGUAGES:
                for found in re.finditer(HERE_DOCUMENT, token.content):
                    text = "\n".join(found[0].splitlines()[1:-1])
                    if "apiVersion:" in text:
                        yield place, text


def mappings(text: str) -> list[dict[str, Any]]:
    """Return the documents of a block that are mappings."""
    return [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]


BLOCKS = dict(fences())
OBJECTS = {
    place: found
    for place, text in BLOCKS.items()
    if (found := [each for each in mappings(text) if {"apiVersion", "kind"} <= set(each)])
}
# A block with keys of the chart alone is a job file, or a part of one.
JOBS = {
    place: text
    for place, text in BLOCKS.items()
    if place not in OBJECTS and (found := mappings(text)) and set(found[0]) <= KEYS
}


def test_pages_have_objects_and_job_files() -> None:
    kinds = {each["kind"] for found in OBJECTS.values() for each in found}
    assert {"PersistentVolumeClaim", "StorageClass", "Pod"} <= kinds
    assert {"docs/platform/storage.md", "docs/platform/gpu-nodes.md"} <= {place.partition(":")[0] for place in JOBS}


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_schemas_of_kubernetes_define_each_field_of_the_objects(kubernetes: str, tmp_path: Path) -> None:
    for place, found in OBJECTS.items():
        for number, each in enumerate(each for each in found if each["kind"] not in FOREIGN):
            (tmp_path / f"{place.replace('/', '-')}-{number}.json").write_text(json.dumps(each))
    done = kubeconform(tmp_path, kubernetes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Errors: 0, Skipped: 0" in done.stdout


@pytest.mark.parametrize("place", JOBS)
def test_job_file_of_the_page_is_accepted(place: str, tmp_path: Path) -> None:
    path = tmp_path / "vision" / "run.yaml"
    path.parent.mkdir()
    path.write_text(JOBS[place] + ("" if "storage" in yaml.safe_load(JOBS[place]) else REQUIRED))
    assert [problem.message for problem in JobFile(path).problems()] == []


def test_pods_of_the_pages_meet_the_restricted_standard() -> None:
    specs = [each["spec"] for found in OBJECTS.values() for each in found if each["kind"] == "Pod"]
    assert specs
    assert [violation for spec in specs for violation in violations(spec)] == []
