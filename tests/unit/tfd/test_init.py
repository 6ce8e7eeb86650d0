"""`tfd init` creates a repository whose files the checks, Helm and the linters of workflows accept."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.chart.rendering import ROOT, tool
from tests.unit.review.repositories import VERSION
from tfd.cli import main
from tfd.jobfile import helm_yaml

URL = "https://github.com/example-org/runs"
OPTIONS = ("--team", "vision", "--team", "speech", "--repository", URL, "--owner", "@example-org/ml")


def init(*options: str) -> Result:
    return CliRunner().invoke(main, ["init", *options], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new repository, as the current folder."""
    done = init(str(tmp_path / "runs"), *OPTIONS)
    assert done.exit_code == 0, done.stderr
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


def files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".git/" not in f"{path}"
    )


def test_repository_has_the_files_of_a_review_and_of_argo_cd(folder: Path) -> None:
    assert files(folder) == [
        ".github/CODEOWNERS", ".github/dependabot.yaml", ".github/workflows/results.yaml",
        ".github/workflows/review-comment.yaml", ".github/workflows/review.yaml", ".gitignore", "README.md",
        "argocd/values.yaml", "jobs/examples/digits-one-device.yaml", "requirements/tfd.txt", "review.yaml",
        "scripts/ci-comment.sh", "scripts/ci-find.sh", "scripts/ci-result.sh", "scripts/ci-review.sh",
        "scripts/result_comment.py", "scripts/setup.sh", "workbenches/README.md",
    ]  # fmt: skip
    head = subprocess.run(["git", "symbolic-ref", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    assert head.stdout == "refs/heads/main\n"
    assert [name for name in files(folder) if os.access(folder / name, os.X_OK)] == [
        name for name in files(folder) if name.endswith(".sh")
    ]
    assert [name for name in files(folder) if "@VERSION@" in (folder / name).read_text()] == []
    assert f"tf-distributed=={VERSION}\n" in (folder / "requirements/tfd.txt").read_text()
    assert "/.github/       @example-org/ml\n" in (folder / ".github/CODEOWNERS").read_text()


def test_job_files_are_accepted(folder: Path) -> None:
    assert CliRunner().invoke(main, ["check"]).exit_code == 0
    done = CliRunner().invoke(main, ["new", "vision/digits-1", "--from", "examples/digits-one-device"])
    assert done.exit_code == 0, done.stderr
    assert CliRunner().invoke(main, ["check"]).exit_code == 0


def test_workflows_pass_the_linters(folder: Path) -> None:
    workflows = sorted(str(path) for path in (folder / ".github/workflows").glob("*.yaml"))
    for command in (
        [tool("actionlint"), "-shellcheck=", "-pyflakes=", *workflows],
        [tool("zizmor"), "--offline", "--quiet", ".github"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_scripts_that_the_workflows_call_exist(folder: Path) -> None:
    for path in (folder / ".github/workflows").glob("*.yaml"):
        for job in helm_yaml.load(path.read_text()).value["jobs"].values():
            for script in (step["run"].split()[0] for step in job["steps"] if "run" in step):
                assert os.access(folder / script, os.X_OK), script


def test_settings_of_argo_cd_are_rendered(folder: Path) -> None:
    values = str(folder / "argocd/values.yaml")
    command = [tool("helm4"), "template", "argocd", str(ROOT / "argocd"), "--values", values]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sets = [each for each in helm_yaml.load_all(rendered) if each["kind"] == "ApplicationSet"]
    assert {each["metadata"]["name"] for each in sets} >= {"runs-vision", "runs-speech"}
    for each in sets:
        assert each["spec"]["generators"][0]["git"]["repoURL"] == URL
        assert each["spec"]["template"]["spec"]["source"]["repoURL"].startswith("oci://ghcr.io/")


def test_repository_without_options_is_a_template(tmp_path: Path) -> None:
    done = init(str(tmp_path / "runs"))
    assert done.exit_code == 0
    assert helm_yaml.load((tmp_path / "runs/argocd/values.yaml").read_text()).value["teams"] == {}
    assert done.stdout.endswith(f"{tmp_path}/runs: 18 files written. Read README.md there, then commit the files.\n")


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = init(str(tmp_path / "runs"), "--dry-run", "--json")
    printed = json.loads(done.stdout)
    assert (printed["folder"], printed["written"]) == (f"{tmp_path}/runs", False)
    assert not (tmp_path / "runs").exists()
    assert json.loads(init(str(tmp_path / "runs"), "--json").stdout)["written"] is True
    assert files(tmp_path / "runs") == printed["files"]


@pytest.mark.parametrize("existing", ["review.yaml", "scripts", ".github/workflows/review.yaml"])
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_existing_file_is_refused_and_nothing_is_written(
    tmp_path: Path, existing: str, options: tuple[str, ...]
) -> None:
    path = tmp_path / existing
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    done = init(str(tmp_path), *options)
    fix = "Choose an empty folder, or move the file away."
    assert (done.exit_code, done.stderr) == (1, f"{path}: got an existing file; expected none. {fix}\n")
    assert (files(tmp_path), path.read_text()) == ([existing], "mine")


def test_clone_of_an_empty_repository_keeps_its_git_folder(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "trunk", tmp_path], check=True)
    assert init(str(tmp_path)).exit_code == 0
    assert (tmp_path / ".git/HEAD").read_text() == "ref: refs/heads/trunk\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--team", "Vision"), '--team: got "Vision"; expected lower-case letters, digits and -, '),
        (("--team", "examples"), '--team: got "examples"; expected lower-case letters, digits and -, '),
        (("--repository", "github.com/a/b"), '--repository: got "github.com/a/b"; expected https://, ssh:// or '),
        (("--owner", "ada"), '--owner: got "ada"; expected @LOGIN or @ORGANIZATION/TEAM. Write it as in CODEOWNERS.'),
    ],
)
def test_invalid_option_is_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = init(str(tmp_path / "runs"), *options)
    assert done.exit_code == 1
    assert done.stderr.startswith(message)
    assert not (tmp_path / "runs").exists()


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = init(str(tmp_path / "file" / "runs"))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{tmp_path}/file/runs: got ")
