"""The chart of a run from an OCI registry: Helm downloads it once, and the review renders with it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.chart.rendering import CHART, tool
from tests.oci_registry import Registry, serving
from tests.unit.review.repositories import RUN, VERSION, changed, commit, git
from tfd.cli import main
from tfd.jobfile.registry import RegistryError, cache_of, pull

OLD_VERSION, UNKNOWN = "0.0.9", "7.0.0"
OLD, NEW = "jobs/vision/digits-41.yaml", "jobs/vision/digits-42.yaml"
RULES = "rules: {}\n"


def package(version: str, folder: Path) -> Path:
    """Return a package of the chart as another version. An old one has another deadline."""
    source = folder / version / "tf-distributed"
    shutil.copytree(CHART, source, ignore=shutil.ignore_patterns("tests"))
    chart = source / "Chart.yaml"
    chart.write_text(changed(chart.read_text(), (f"\nversion: {VERSION}\n", f"\nversion: {version}\n")))
    if version == OLD_VERSION:
        values = source / "values.yaml"
        values.write_text(changed(values.read_text(), ("\ndeadline: 24h\n", "\ndeadline: 12h\n")))
    done = [tool("helm4"), "package", str(source), "--destination", str(folder)]
    subprocess.run(done, check=True, capture_output=True)
    return folder / f"tf-distributed-{version}.tgz"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with two versions of the chart."""
    folder, found = tmp_path_factory.mktemp("charts"), Registry()
    for version in (OLD_VERSION, VERSION):
        metadata = {"name": "tf-distributed", "version": version, "apiVersion": "v2"}
        found.add("charts/tf-distributed", version, package(version, folder), metadata)
    return found


@pytest.fixture
def address(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TFD_CACHE", str(tmp_path / "cache"))
    registry.asked.clear()
    with serving(registry) as host:
        yield f"oci://{host}/charts"


@pytest.fixture
def repository(address: str, tmp_path: Path) -> Path:
    """A repository without charts, with a run on the old chart and a pull request that adds one on the new chart."""
    folder = tmp_path / "r"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    old = changed(RUN, (VERSION, OLD_VERSION))
    commit(folder, {OLD: old, "review.yaml": RULES, "argocd/values.yaml": f'chart: {{oci: "{address}"}}\n'})
    git(folder, "switch", "--quiet", "--create", "head")
    return folder


def review(folder: Path, *options: str) -> Result:
    arguments = ["review", "--base", "main", "--head", "head", "--repo", str(folder), *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_chart_is_downloaded_once(address: str, registry: Registry) -> None:
    cache = cache_of(address)
    folder = pull(address, VERSION, cache)
    assert folder == cache / VERSION
    assert (folder / "values.yaml").read_bytes() == (CHART / "values.yaml").read_bytes()
    asked = len(registry.asked)
    assert asked > 0
    assert pull(address, VERSION, cache) == folder
    assert len(registry.asked) == asked
    assert [each.name for each in cache.iterdir()] == [VERSION]


def test_version_that_the_registry_lacks_is_no_error(address: str) -> None:
    assert pull(address, UNKNOWN, cache_of(address)) is None


def test_registry_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    with serving(Registry()) as host:
        pass
    message = rf"^oci://{host}/charts/tf-distributed:1\.0\.0: got .+; expected a chart\. "
    with pytest.raises(RegistryError, match=message):
        pull(f"oci://{host}/charts", "1.0.0", tmp_path)


def test_runs_are_rendered_with_their_charts(repository: Path, address: str) -> None:
    old = f"{changed(RUN, (VERSION, OLD_VERSION))}owner: Ada\n"
    commit(repository, {NEW: changed(RUN, ("20000", "30000")), OLD: old})
    done = review(repository, "--format", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, [run["action"] for run in found["runs"]]) == (0, ["changes", "starts"])
    assert [each["source"]["targetRevision"] for each in found["applications"]] == [OLD_VERSION, VERSION]
    assert {each["source"]["repoURL"] for each in found["applications"]} == {f"{address}/tf-distributed"}
    assert {each["source"]["path"] for each in found["applications"]} == {"."}
    assert [each["message"] for each in found["findings"] if "tag" in each["message"]] == []


def test_version_that_nobody_released_is_refused(repository: Path) -> None:
    commit(repository, {NEW: changed(RUN, (VERSION, UNKNOWN))})
    done = review(repository)
    assert done.exit_code == 1
    assert f'chartVersion: got "{UNKNOWN}"; expected "{VERSION}"' in done.stdout


def test_merged_run_whose_chart_is_missing_cannot_be_judged(repository: Path, address: str) -> None:
    git(repository, "switch", "--quiet", "main")
    old = changed(RUN, (VERSION, UNKNOWN))
    commit(repository, {OLD: old})
    git(repository, "switch", "--quiet", "--create", "other")
    commit(repository, {OLD: f"{old}owner: Ada\n"})
    git(repository, "branch", "--force", "head")
    done = review(repository)
    assert done.exit_code == 2
    assert f"{address} has no chart {UNKNOWN}. Push it again." in done.stdout


def test_registry_that_does_not_answer_ends_the_review(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Registry()) as host:
        pass
    git(repository, "switch", "--quiet", "main")
    commit(repository, {"argocd/values.yaml": f'chart: {{oci: "oci://{host}/charts"}}\n'})
    git(repository, "branch", "--force", "head")
    git(repository, "switch", "--quiet", "head")
    commit(repository, {NEW: changed(RUN, ("20000", "30000"))})
    done = review(repository)
    assert done.exit_code == 2
    assert f"oci://{host}/charts/tf-distributed:{VERSION}: got " in done.stderr


def chart_diff(repository: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    monkeypatch.chdir(repository)
    return CliRunner().invoke(main, ["chart-diff", OLD, *options], catch_exceptions=False)


def test_chart_diff_shows_the_defaults_and_objects_that_moved(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = chart_diff(repository, monkeypatch)
    lines = done.stdout.splitlines()
    assert (done.exit_code, lines[0]) == (0, f"{OLD}: chart {OLD_VERSION} -> {VERSION}")
    assert '  deadline (mutable): "12h" -> "24h"' in lines
    assert f"--- Job/digits-41-chief {OLD_VERSION}" in lines
    assert "-  activeDeadlineSeconds: 43200" in lines
    machine = json.loads(chart_diff(repository, monkeypatch, "--json").stdout)
    assert [each["key"] for each in machine[0]["defaults"]] == ["deadline"]
    assert machine[0]["objects"] == lines[3:]


def test_chart_diff_of_the_same_version_is_empty(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = chart_diff(repository, monkeypatch, "--to", OLD_VERSION)
    assert (done.exit_code, done.stdout) == (0, f"{OLD}: chart {OLD_VERSION} changes nothing since {OLD_VERSION}\n")


def test_chart_diff_of_an_unknown_version_is_refused(
    repository: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = chart_diff(repository, monkeypatch, "--to", UNKNOWN)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"chartVersion: got no chart {UNKNOWN} in {address}; expected a released version. ")


@pytest.mark.parametrize("version", ["", "latest", "v0.1.0", "../../x"])
def test_chart_diff_of_another_text_than_a_version_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    done = chart_diff(repository, monkeypatch, "--to", version)
    assert done.exit_code == 2
    rule = "expected a version of three numbers such as 1.2.3."
    assert done.stderr.startswith(f"chartVersion: got {json.dumps(version)}; {rule} ")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("jobs/vision/a.yaml", "storage: {claim: runs}\n", "jobs/vision/a.yaml: chartVersion: got nothing; "),
        ("jobs/vision/A.yaml", RUN, "jobs/vision/A.yaml: got another file; expected jobs/TEAM/RUN.yaml. "),
        ("jobs/vision/a.yaml", "[", "jobs/vision/a.yaml: got another file; expected jobs/TEAM/RUN.yaml. "),
    ],
)
def test_chart_diff_of_another_file_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    monkeypatch.chdir(repository)
    (repository / name).write_text(text)
    done = CliRunner().invoke(main, ["chart-diff", name], catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stderr.startswith(message)
