"""The parts of `python -m release` that need neither root nor a build. `make release-rehearsal` runs all of it."""

import json
import re
from pathlib import Path

import pytest

from devcluster.paths import CHECKOUT
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError
from release import install, rehearsal, statements
from release.contents import IMAGES, charts, names, packages
from release.signing import TamperedError
from tests.grammar import GRAMMAR


def test_release_has_each_image_of_charts_examples_and_pages() -> None:
    folders = ("argocd", "charts", "docs", "jobs", "starter", "workbenches")
    files = [file for folder in folders for file in (CHECKOUT / folder).rglob("*") if file.suffix in {".md", ".yaml"}]
    text = "".join(file.read_text() for file in [*files, CHECKOUT / "README.md"])
    named = set(re.findall(r"ghcr\.io/tf-distributed/tf-distributed/([a-z-]+)[:@]", text))
    assert named == set(IMAGES)


def test_each_image_of_a_release_is_a_target_of_the_dockerfile() -> None:
    dockerfile = (CHECKOUT / "trainer" / "Dockerfile").read_text()
    assert set(IMAGES) <= set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, flags=re.M))


def test_all_charts_have_the_version_of_the_release() -> None:
    assert CHECKOUT / "charts" / "tf-distributed" in charts()
    for chart in charts():
        found = re.findall(r'^(?:version|appVersion): "?([^"\n]+)"?$', (chart / "Chart.yaml").read_text(), flags=re.M)
        assert found == [chart_version()] * 2, chart


def test_charts_have_a_folder_of_their_own_in_the_registry() -> None:
    found = names("registry.example.com/a", ("trainer",))
    assert found[0] == "registry.example.com/a/trainer"
    assert "registry.example.com/a/charts/tf-distributed" in found[1:]


def test_provenance_names_the_commit_and_what_built_it(tmp_path: Path) -> None:
    predicate = json.loads(statements.provenance("https://example.com/ci", tmp_path / "p.json").read_text())
    [source] = predicate["buildDefinition"]["resolvedDependencies"]
    assert re.fullmatch("[0-9a-f]{40}", source["digest"]["gitCommit"])
    assert predicate["runDetails"] == {"builder": {"id": "https://example.com/ci"}}


def refusing() -> None:
    raise TamperedError("first line\nno signatures found")


def test_rehearsal_fails_when_a_changed_artifact_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DevclusterError, match=r"The verification accepted a changed chart\."):
        rehearsal.refused("a changed chart", lambda: "sha256:0")
    rehearsal.refused("a changed chart", refusing)
    assert capsys.readouterr().out == "refused   a changed chart: no signatures found\n"


def test_machine_without_the_programs_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevclusterError, match=GRAMMAR) as raised:
        rehearsal.check()
    assert "a machine without buildah, debootstrap, unshare;" in str(raised.value)
    for name in rehearsal.PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    rehearsal.check()


def test_training_with_the_release_needs_the_images_of_the_example() -> None:
    with pytest.raises(DevclusterError, match=GRAMMAR) as raised:
        install.check_images(("trainer",))
    assert "1 images without tensorboard; expected trainer and tensorboard with --cluster." in str(raised.value)
    install.check_images(("trainer", "workbench", "tensorboard"))


def test_folder_without_one_wheel_and_one_source_distribution_is_refused(tmp_path: Path) -> None:
    wheel, source = (tmp_path / f"tf_distributed-{end}" for end in ("1.0.0-py3-none-any.whl", "1.0.0.tar.gz"))
    wheel.touch()
    with pytest.raises(DevclusterError, match=GRAMMAR):
        packages(tmp_path)
    source.touch()
    assert packages(tmp_path) == (wheel, source)
    (tmp_path / "tf_distributed-0.9.0.tar.gz").touch()
    with pytest.raises(DevclusterError, match="got 3 packages"):
        packages(tmp_path)
