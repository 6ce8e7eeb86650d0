"""What Helm renders for every example and every accepted workbench file."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.kubeconform import VERSIONS, assert_all_conform
from tests.chart.rendering import ACCEPTED, ROOT, Object, by_name, render
from tests.chart.rendering import EXAMPLES as JOBS
from tests.chart.rendering import objects as run_objects
from tests.chart.test_pod_security import violations
from tests.chart.volumes import pod_specs
from tests.chart.workbench.keys import CHANGES, files
from tests.chart.workbench.rendering import CHART, FILES, TEMPLATES, objects, rendered
from tfd.jobfile import helm_yaml
from tfd.jobfile.jobfile import JobFile

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
DEFINE = re.compile(r'(\{\{/\*\n(?:(?!\*/).)*\*/\}\}\n)?\{\{- define "[^"]+" -\}\}(.*?\n\{\{- end \}\}\n)', re.S)
LONGEST_NAME = 63
RANDOM_END = "-abcde"


@by_file
def test_accepted_file_begins_with_a_comment(path: Path) -> None:
    assert path.read_text().startswith("# ")


@by_file
def test_tfd_accepts_the_file(path: Path) -> None:
    assert JobFile(path, CHART).problems() == []


@pytest.mark.slow
@by_file
def test_two_renderings_and_two_versions_of_helm_agree(path: Path) -> None:
    assert render(path, chart=CHART) == rendered(path)
    assert render(path, chart=CHART, kubernetes="1.34.0") == rendered(path)
    assert by_name(helm_yaml.load_all(render(path, chart=CHART, helm="helm3"))) == by_name(objects(path))


@by_file
def test_objects_have_unique_names_of_the_workbench_in_its_namespace(path: Path) -> None:
    found = objects(path)
    assert len(by_name(found)) == len(found)
    for each in found:
        assert each["metadata"]["name"].startswith(f"{path.stem}-")
        assert each["metadata"]["namespace"] == "team"
        end = RANDOM_END if each["kind"] == "Job" else ""
        assert len(each["metadata"]["name"] + end) <= LONGEST_NAME


def ends_of_names(files: list[Path], render: Callable[[Path], list[Object]]) -> set[tuple[str, str]]:
    """Return the kinds of the objects of some files, and what stands after the name of the file in their names."""
    return {(each["kind"], each["metadata"]["name"].removeprefix(path.stem)) for path in files for each in render(path)}


def test_no_run_owns_an_object_of_a_workbench() -> None:
    """A run and a workbench may have one name, and a run may have a name that ends like an object of a workbench."""
    ends = ends_of_names(FILES, objects)
    ends_of_runs = ends_of_names(JOBS + ACCEPTED, run_objects)
    # A run NAME-workbench would have the objects without an end of their own.
    plain = {kind for kind, end in ends_of_runs if end == ""}
    assert {end for kind, end in ends if kind in plain} == {"-workbench"}
    both = {
        (kind, end)
        for kind, end in ends
        for same, other in ends_of_runs
        if kind == same and other and end.endswith(other)
    }
    assert both == set()


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_every_field_is_in_the_schemas_of_kubernetes(kubernetes: str, tmp_path: Path) -> None:
    assert_all_conform(FILES, rendered, tmp_path, kubernetes)


@by_file
def test_pod_of_an_accepted_file_is_restricted(path: Path) -> None:
    [spec] = pod_specs(objects(path))
    assert list(violations(spec)) == []


@pytest.mark.parametrize("key", [key for key in CHANGES if key != "chartVersion"])
def test_no_key_makes_the_pod_less_restricted(key: str) -> None:
    for file in files(key):
        [spec] = pod_specs(objects(file))
        assert list(violations(spec)) == []


@by_file
def test_pod_writes_only_to_its_own_folders_and_to_runs_that_are_writable(path: Path) -> None:
    [spec] = pod_specs(objects(path))
    [container] = spec["containers"]
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable - {"tmp", "home", "shm"} == ({"runs"} if path.stem == "writable" else set())
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_templates_that_both_charts_have_are_the_same() -> None:
    """`make docs` copies them, because Helm has no link between charts that a package and Argo CD follow."""
    shared = [path for path in TEMPLATES.rglob("*.tpl") if "has a copy of this file" in path.read_text()]
    assert len(shared) == 8
    for path in shared:
        other = ROOT / "charts" / "tf-distributed" / "templates" / path.relative_to(TEMPLATES)
        assert path.read_text() == other.read_text()


def test_defines_are_short_and_documented() -> None:
    defines = re.findall(r'define "([^"]+)"', "".join(path.read_text() for path in TEMPLATES.rglob("*.tpl")))
    assert len(defines) == len(set(defines)) > 20
    for path in TEMPLATES.rglob("*.tpl"):
        for comment, body in DEFINE.findall(path.read_text()):
            assert "Argument: " in comment and "Output: " in comment
            assert body.count("\n") < 60
