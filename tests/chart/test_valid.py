"""Every example and every file of tests/job_files/accepted passes tfd check, Helm and Kubernetes' own schemas."""

import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, ROOT, Refused, render, rendered, tool
from tfd.jobfile.jobfile import JobFile

FILES = EXAMPLES + ACCEPTED
SCHEMAS = f"{ROOT}/.venv/kubernetes-schemas/" + (
    "{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
)
GANGS = {path for path in FILES if "gang: true" in path.read_text() and "state: archived" not in path.read_text()}


def test_there_are_at_least_15_files_of_their_own() -> None:
    assert len(ACCEPTED) >= 15


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_file_begins_with_a_comment_that_says_what_it_shows(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_tfd_finds_nothing_wrong(path: Path) -> None:
    assert JobFile(path).problems() == []


@pytest.mark.parametrize("kubernetes", ["1.34.0", "1.35.0", "1.36.0", "1.37.0"])
def test_kubernetes_knows_every_field(kubernetes: str, tmp_path: Path) -> None:
    files = [path for path in FILES if kubernetes == "1.37.0" or path not in GANGS]
    assert len(files) > 25
    for path in files:
        (tmp_path / path.name).write_text(rendered(path))
    command = [tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", kubernetes]
    done = subprocess.run(
        [*command, "-schema-location", SCHEMAS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Errors: 0, Skipped: 0" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in FILES if path not in GANGS], ids=lambda path: path.stem)
def test_rendering_does_not_depend_on_the_version_of_kubernetes(path: Path) -> None:
    assert render(path, kubernetes="1.34.0") == rendered(path)


@pytest.mark.parametrize("path", sorted(GANGS), ids=lambda path: path.stem)
def test_gang_needs_a_kubernetes_that_has_it(path: Path) -> None:
    with pytest.raises(Refused, match=r"gang: got true: it needs Kubernetes >= 1\.37 and this is v1\.36\.0"):
        render(path, kubernetes="1.36.0")


def test_every_strategy_and_every_kind_of_storage_is_there() -> None:
    text = "".join(path.read_text() for path in FILES)
    for word in ("Mirrored", "MultiWorkerMirrored", "ParameterServer", "None"):
        assert f"strategy: {word}\n" in text
    for word in ("{claim:", "{create:", "{path:", "{ephemeral:"):
        assert f"storage: {word}" in text
