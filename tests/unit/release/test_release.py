"""The parts of `python -m release` that need neither root nor a build. `make release-rehearsal` runs all of it."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from devcluster.paths import CHECKOUT
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError, run
from release import build, cli, install, rehearsal, signing, statements
from release.contents import IMAGES, charts, names, packages
from release.publishing import Plan, verify
from release.signing import Signer, TamperedError
from tests.grammar import GRAMMAR

REGISTRY = "registry.example.com/a"


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


def test_checkout_with_a_file_that_its_commit_lacks_is_refused(tmp_path: Path) -> None:
    run(["git", "init", "--quiet", tmp_path])
    build.check_checkout(tmp_path)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / ".env").touch()
    with pytest.raises(DevclusterError, match=GRAMMAR) as raised:
        build.check_checkout(tmp_path)
    assert "checkout: got '?? charts/.env'; expected the files of its commit only." in str(raised.value)


def test_nothing_is_published_from_such_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "check_checkout", lambda: 1 / 0)
    monkeypatch.setattr(cli, "publish", lambda plan: [])
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(cli.main, ["publish", REGISTRY, "--identity", "ci"], catch_exceptions=False)


def test_provenance_names_the_commit_and_what_built_it(tmp_path: Path) -> None:
    written = statements.provenance("https://example.com/ci", "trainer", tmp_path / "p.json")
    predicate = json.loads(written.read_text())
    [source] = predicate["buildDefinition"]["resolvedDependencies"]
    assert re.fullmatch("[0-9a-f]{40}", source["digest"]["gitCommit"])
    assert predicate["runDetails"] == {"builder": {"id": "https://example.com/ci"}}


def answering(named: Callable[[str], dict[str, str]]) -> Callable[..., str]:
    """Return a cosign that accepts each signature; the provenance of an artifact has the parameters of its name."""

    def cosign(verb: str, *words: str) -> str:
        name = words[-1].removeprefix(f"{REGISTRY}/")
        if verb == "verify":
            return json.dumps([{"critical": {"image": {"docker-manifest-digest": "sha256:" + 64 * "0"}}}])
        predicate = {"buildDefinition": {"externalParameters": named(name.partition("@")[0])}}
        payload = b64encode(json.dumps({"predicate": predicate}).encode()).decode()
        return json.dumps({"payload": payload}) + "\n"

    return cosign


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    for end in ("py3-none-any.whl", "1.0.0.tar.gz"):
        (tmp_path / f"tf_distributed-{end}").touch()
    return Plan(REGISTRY, ("trainer", "workbench"), Signer(identity="ci"), "ci", tmp_path)


def test_artifacts_with_the_provenance_of_their_names_are_verified(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_cosign", answering(statements.parameters))
    assert [each.name for each in verify(plan)] == names(REGISTRY, plan.images)


@pytest.mark.parametrize(
    "named",
    [
        lambda name: statements.parameters("workbench" if name == "trainer" else name),
        lambda name: statements.parameters("charts/workbench" if name == "charts/tf-distributed" else name),
        lambda name: {"artifact": name, "version": "0.0.1"},
        lambda name: {"version": chart_version()},
    ],
    ids=["another image", "another chart", "an older version", "no name"],
)
def test_another_signed_artifact_under_the_name_is_refused(
    plan: Plan, named: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_cosign", answering(named))
    with pytest.raises(TamperedError, match=GRAMMAR):
        verify(plan)


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
