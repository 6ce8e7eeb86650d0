"""Your own code: from the job file, and fetched from git by the init container of a pod."""

import os
import subprocess
from pathlib import Path

from tests.integration.local_run import LocalRun
from tests.unit.tfd.git_server import commit, git, serving
from tfd.jobfile.jobfile import JobFile
from tfd.local.pods import Container, read_pods

TOKEN = "open-sesame"
GIT = """
storage: {claim: runs}
code:
  git: {repository: "https://%s", commit: %s, tokenSecret: {name: s, key: k}}
"""
FILES = """
command: [python, /code/main.py]
storage: {claim: runs}
code:
  files:
    main.py: |
      import helper
      print(helper.WORDS)
    helper.py: |
      WORDS = 'own code runs'
"""


def test_files_of_the_job_file_can_be_imported(local_run: LocalRun) -> None:
    local_run.write(FILES)
    code, out, err = local_run.run()
    assert code == 0, f"{out}\n{err}"
    assert "own code runs" in local_run.log("chief-0")


def fetch_container(folder: Path, repository: str, commit: str) -> Container:
    """Return the rendered init container, with its token from the shell."""
    path = folder / "team" / "run.yaml"
    path.parent.mkdir()
    path.write_text(GIT % (repository, commit))
    [pod] = read_pods(JobFile(path).objects, lambda *_: TOKEN)
    fetch, main = pod.containers
    assert "CODE_TOKEN" not in main.env
    assert not any(TOKEN in word for word in fetch.command)
    return fetch


def fetch(folder: Path, repository: str, commit: str) -> subprocess.CompletedProcess[str]:
    """Run the rendered init container, which fetches into `folder`/code; only https became http."""
    container = fetch_container(folder, repository, commit)
    env = {name: value.replace("https", "http") for name, value in container.env.items()}
    (folder / "home").mkdir()
    env |= {"CODE_DIR": str(folder / "code"), "HOME": str(folder / "home"), "PATH": os.environ["PATH"]}
    return subprocess.run(container.command, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_the_init_container_fetches_exactly_the_commit_and_no_history(tmp_path: Path) -> None:
    commits = [commit(tmp_path / "git" / "models", task=version) for version in ("first", "second", "third")]
    with serving(tmp_path / "git", password=TOKEN) as server:
        done = fetch(tmp_path, f"{server.address}/models", commits[1])
    assert done.returncode == 0, done.stderr
    code = tmp_path / "code"
    assert (code / "task.py").read_text() == "second"
    assert git(code, "rev-list", "--all", "HEAD") == commits[1]
    assert f"fetched {commits[1]}" in done.stdout
    assert TOKEN not in "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and "team" not in path.parts
    )


def test_a_server_that_sends_no_single_commits_sends_its_branches(tmp_path: Path) -> None:
    commits = [commit(tmp_path / "git" / "models", task=version) for version in ("first", "second", "third")]
    with serving(tmp_path / "git", old=True) as server:
        done = fetch(tmp_path, f"{server.address}/models", commits[1])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "code" / "task.py").read_text() == "second"


def test_a_commit_that_is_not_there_is_named(tmp_path: Path) -> None:
    commit(tmp_path / "git" / "models", task="x")
    with serving(tmp_path / "git", old=True) as server:
        done = fetch(tmp_path, f"{server.address}/models", 40 * "a")
    assert done.returncode == 1
    assert f"without {40 * 'a'}; expected a commit of a branch or a tag. Push it." in done.stderr


def with_submodules(root: Path, **addresses: str) -> str:
    """Commit a repository `models` with submodules (folder -> address) of the repository `part`; return the hash."""
    commit(root / "part", part="old")
    pinned = commit(root / "part", part="pinned")
    commit(root / "part", part="newer")
    models = root / "models"
    commit(models, task="x")
    for folder, address in addresses.items():
        git(models, "submodule", "add", "-q", str(root / "part"), folder)
        git(models / folder, "checkout", "-q", pinned)
        git(models, "config", "-f", ".gitmodules", f"submodule.{folder}.url", address)
    return commit(models)


def test_submodules_come_with_the_commit(tmp_path: Path) -> None:
    for old in (False, True):
        folder = tmp_path / str(old)
        with serving(folder / "git", password=TOKEN, old=old) as server:
            found = with_submodules(
                folder / "git", relative="../part", absolute=f"http://{server.address}/part",
                ssh=f"ssh://git@{server.address}/part",
            )  # fmt: skip
            done = fetch(folder, f"{server.address}/models", found)
        assert done.returncode == 0, done.stderr
        for name in ("relative", "absolute", "ssh"):
            assert (folder / "code" / name / "part.py").read_text() == "pinned"


def test_a_submodule_of_another_host_gets_no_token(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "git", password=TOKEN) as server,
        serving(tmp_path / "git", "127.0.0.2", password="other") as other,
    ):
        done = fetch(
            tmp_path, f"{server.address}/models", with_submodules(tmp_path / "git", far=f"http://{other.address}/part")
        )
    assert done.returncode == 1
    assert "submodules that tokenSecret or everybody can read" in done.stderr
    assert set(server.credentials) == {f"git:{TOKEN}"}
    assert other.credentials == []


def test_a_redirect_gets_no_token_and_is_told(tmp_path: Path) -> None:
    found = commit(tmp_path / "git" / "models", task="x")
    with (
        serving(tmp_path / "git", "127.0.0.2", password=TOKEN) as other,
        serving(tmp_path / "git", redirect=f"http://{other.address}") as server,
    ):
        done = fetch(tmp_path, f"{server.address}/models", found)
    assert done.returncode == 1
    assert "which redirects; expected an address that answers itself" in done.stderr
    assert other.credentials == []


def test_pointers_of_git_lfs_are_told(tmp_path: Path) -> None:
    models = tmp_path / "git" / "models"
    commit(models, task="x")
    (models / ".gitattributes").write_text("*.bin filter=lfs\n")
    (models / "weights.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    (models / "whole.bin").write_text("content")
    found = commit(models)
    with serving(tmp_path / "git") as server:
        done = fetch(tmp_path, f"{server.address}/models", found)
    assert done.returncode == 0, done.stderr
    assert "only pointers: weights.bin. Put them into data or into the image." in done.stderr


def test_git_knows_the_token_for_the_host_of_the_repository_only(tmp_path: Path) -> None:
    container = fetch_container(tmp_path, "git.example.com/team/models.git", 40 * "a")
    env = {**container.env, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for host, known in (("git.example.com", True), ("evil.example", False), ("git.example.com.evil.example", False)):
        done = subprocess.run(
            ["git", "credential", "fill"], env=env, input=f"protocol=https\nhost={host}\n\n",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (f"password={TOKEN}" in done.stdout) is known
