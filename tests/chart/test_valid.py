"""Every example and every file of tests/job_files/accepted passes tfd check, Helm and the schemas of Kubernetes."""

import json
from pathlib import Path

import pytest

from tests.chart.kubeconform import VERSIONS, assert_all_conform, kubeconform
from tests.chart.rendering import ACCEPTED, EXAMPLES, Object, Refused, objects, of_kind, render, rendered
from tfd.jobfile.jobfile import JobFile

FILES = EXAMPLES + ACCEPTED
GANGS = {path for path in FILES if "gang: true" in path.read_text() and "state: archived" not in path.read_text()}


def test_corpus_has_at_least_15_accepted_files() -> None:
    assert len(ACCEPTED) >= 15


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_accepted_file_begins_with_a_comment(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_tfd_check_accepts_the_file(path: Path) -> None:
    assert JobFile(path).problems() == []


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_every_field_is_in_the_schemas_of_kubernetes(kubernetes: str, tmp_path: Path) -> None:
    files = [path for path in FILES if kubernetes == "1.37.0" or path not in GANGS]
    assert len(files) > 25
    assert_all_conform(files, rendered, tmp_path, kubernetes)


def assert_field_is_refused(folder: Path, found: Object, field: str) -> None:
    """Assert that the schema of an object refuses the unknown `field`, whose parents are in its spec."""
    *parents, name = field.split(".")
    node = found["spec"]
    for parent in parents:
        node = node[parent][0] if isinstance(node[parent], list) else node[parent]
    node[name] = "x"
    (folder / "object.json").write_text(json.dumps(found))
    done = kubeconform(folder, "1.37.0")
    assert done.returncode == 1
    assert f"additional properties '{name}' not allowed" in done.stdout


@pytest.mark.parametrize("field", ["queueNames", "podSets.cuont", "podSets.template.spec.containers.imagee"])
def test_schema_of_kueue_refuses_an_unknown_field(tmp_path: Path, field: str) -> None:
    [path] = [path for path in ACCEPTED if path.stem == "queue"]
    [workload] = of_kind(objects(path), "Workload")
    assert_field_is_refused(tmp_path, workload, field)


@pytest.mark.parametrize("field", ["podMetricsEndpoint", "podMetricsEndpoints.relabelings.targetLabl"])
def test_schema_of_the_operator_of_prometheus_refuses_an_unknown_field(tmp_path: Path, field: str) -> None:
    [path] = [path for path in ACCEPTED if path.stem == "metrics"]
    [monitor] = of_kind(objects(path), "PodMonitor")
    assert_field_is_refused(tmp_path, monitor, field)


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in FILES if path not in GANGS], ids=lambda path: path.stem)
def test_rendering_does_not_depend_on_the_version_of_kubernetes(path: Path) -> None:
    assert render(path, kubernetes="1.34.0") == rendered(path)


@pytest.mark.parametrize("path", sorted(GANGS), ids=lambda path: path.stem)
def test_gang_is_refused_before_kubernetes_1_37(path: Path) -> None:
    with pytest.raises(Refused, match=r"gang: got true for Kubernetes v1\.36\.0; expected Kubernetes 1\.37 or later\."):
        render(path, kubernetes="1.36.0")


def test_files_cover_every_strategy_and_every_kind_of_storage() -> None:
    text = "".join(path.read_text() for path in FILES)
    for word in ("Mirrored", "MultiWorkerMirrored", "ParameterServer"):
        assert f"strategy: {word}\n" in text
    for word in ("{claim:", "{create:", "{uri:", "{ephemeral:"):
        assert f"storage: {word}" in text
