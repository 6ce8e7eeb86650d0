"""`tfd init` creates a repository whose files the checks, Helm and the linters of workflows accept."""

import errno
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


def test_set_up_runs_no_module_of_the_repository(folder: Path) -> None:
    """A folder venv/ would decide what each later review installs."""
    for name in ("venv", "ensurepip", "pip"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("open('taken', 'w')\n")
    (folder / "requirements/tfd.txt").write_text("")
    subprocess.run(["scripts/setup.sh"], cwd=folder, capture_output=True, check=False)
    assert (folder / ".venv/bin/pip").exists()
    assert not (folder / "taken").exists()


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


def test_empty_folder_name_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = init("")
    assert (done.exit_code, done.stderr.split(";")[0]) == (1, "FOLDER: got nothing")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_begins_with_a_hyphen_is_not_an_option_of_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init("--", "-q").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["-q"]
    assert (tmp_path / "-q/.git").is_dir()


def test_repository_of_a_hook_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    assert init(str(tmp_path / "runs")).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert (tmp_path / "runs/.git").is_dir()


def test_scripts_are_for_those_whom_the_umask_lets_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert init(str(tmp_path / "runs")).exit_code == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "runs/scripts").iterdir()}
    assert modes == {0o600, 0o700}


@pytest.mark.parametrize("kind", ["folder", "link"])
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_what_is_in_place_of_a_file_is_named(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    path = tmp_path / "runs/README.md"
    path.parent.mkdir()
    path.mkdir() if kind == "folder" else path.symlink_to(tmp_path / "other")
    done = init(str(tmp_path / "runs"), *options)
    fix = f"Choose an empty folder, or move the {kind} away."
    assert (done.exit_code, done.stderr) == (1, f"{path}: got an existing {kind}; expected none. {fix}\n")
    assert list((tmp_path / "runs").iterdir()) == [path]


@pytest.mark.parametrize(
    "program",
    [
        None,
        r"printf 'no \377' >&2; exit 128",
        # The same as Ctrl-C, which reaches git as well.
        'for folder; do :; done; mkdir "$folder/.git"; kill -INT $PPID; exit 130',
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_nothing_stays_when_git_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, existing: bool
) -> None:
    (tmp_path / "bin").mkdir()
    if program:
        (tmp_path / "bin/git").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{program}\n")
        (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if existing:
        (tmp_path / "runs/jobs").mkdir(parents=True)
        (tmp_path / "runs/NOTES.md").write_text("mine")
    assert init(str(tmp_path / "runs")).exit_code == 1
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("runs*/**/*"))
    assert found == (["runs/NOTES.md", "runs/jobs"] if existing else [])
    assert (tmp_path / "runs").exists() == existing


def test_nothing_stays_of_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "chmod", full)
    done = init(str(tmp_path / "new/runs"))
    assert done.exit_code == 1
    fix = "Choose another folder."
    assert done.stderr == f"{tmp_path}/new/runs: got No space left on device; expected a folder to write to. {fix}\n"
    assert list(tmp_path.iterdir()) == []


def test_address_is_not_taken_for_a_word_of_the_template(tmp_path: Path) -> None:
    address = "https://git.example.com/@TEAMS@"
    assert init(str(tmp_path / "runs"), "--team", "vision", "--repository", address).exit_code == 0
    values = helm_yaml.load((tmp_path / "runs/argocd/values.yaml").read_text()).value
    assert (values["repository"], values["teams"]) == (address, {"vision": {}})


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
        (("--team", "argocd"), '--team: got "argocd"; expected '),
        (("--team", "a-b", "--team", "a"), '--team: got "a" and "a-b"; expected no name that begins with '),
        (
            ("--repository", r"https://git.example.com/a\n"),
            r'--repository: got "https://git.example.com/a\\n"; expected ',
        ),
        (("--repository", "https://git.example.com/\x1b"), r'--repository: got "https://git.example.com/\u001b"; '),
        (("--repository", "https://git.example.com/\udcff"), "--repository: got "),
        (("--repository", "https://ada:hunter2@git.example.com/a"), "--repository: got a password or token; expected "),
        (
            ("--repository", f"https://ghp_{'a1B2' * 9}@github.com/a/b"),
            "--repository: got a password or token; expected ",
        ),
        (("--owner", "ada"), '--owner: got "ada"; expected @LOGIN or @ORGANIZATION/TEAM. Write it as in CODEOWNERS.'),
    ],
)
def test_invalid_option_is_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = init(str(tmp_path / "runs"), *options)
    assert done.exit_code == 1
    assert done.stderr.startswith(message)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "repository",
    [
        "https://git.example.com:8443/group/subgroup/runs.git/", "ssh://git@git.example.com:2222/runs",
        "ssh://git@[::1]:2222/runs", "git@git.example.com:group/runs.git", "https://ada@git.example.com/a:b@c",
    ],
)  # fmt: skip
def test_address_is_kept_as_it_is(tmp_path: Path, repository: str) -> None:
    done = init(str(tmp_path / "runs"), "--repository", repository, "--owner", "@ada_example")
    assert done.exit_code == 0, done.stderr
    assert helm_yaml.load((tmp_path / "runs/argocd/values.yaml").read_text()).value["repository"] == repository


@pytest.mark.parametrize(
    ("name", "options"),
    [("file", ()), ("file", ("--dry-run",)), ("x" * 300, ()), ("x" * 300, ("--dry-run",)), ("file/runs", ())],
)
def test_folder_that_cannot_be_written_is_refused(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    done = init(str(tmp_path / name), *options)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{tmp_path}/{name}: got ")
