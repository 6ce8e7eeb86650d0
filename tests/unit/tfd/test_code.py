"""Your own code: from the job file, and fetched from git by the init container of a pod."""

import os
import subprocess
from pathlib import Path

from tests.integration.local_run import LocalRun
from tfd.jobfile.jobfile import JobFile
from tfd.local.pods import Container, read_pods

GIT = """
code:
  git: {repository: https://git.example.com/team/models.git, commit: COMMIT, tokenSecret: {name: s, key: k}}
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


def fetch_container(folder: Path, commit: str) -> Container:
    """Return the rendered init container, with its token from the shell."""
    path = folder / "team" / "run.yaml"
    path.parent.mkdir()
    path.write_text("storage: {claim: runs}\n" + GIT.replace("COMMIT", commit))
    [pod] = read_pods(JobFile(path).objects, lambda *_: "open-sesame")
    fetch, main = pod.containers
    assert "CODE_TOKEN" not in main.env
    assert not any("open-sesame" in word for word in fetch.command)
    return fetch


def test_the_init_container_fetches_exactly_the_commit_and_no_history(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, cwd=origin, check=True, capture_output=True, text=True).stdout.strip()

    origin = tmp_path / "origin"
    origin.mkdir()
    git("init", "-q")
    for version in ("first", "second", "third"):
        (origin / "task.py").write_text(version)
        git("add", ".")
        git("commit", "-qm", version)
    commit = git("rev-parse", "HEAD~1")
    fetch = fetch_container(tmp_path, commit)
    code = tmp_path / "code"
    code.mkdir()
    env = {**fetch.env, "CODE_DIR": str(code), "CODE_REPOSITORY": f"file://{origin}", "HOME": str(tmp_path)}
    done = subprocess.run(
        fetch.command, env={**env, "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (code / "task.py").read_text() == "second"
    assert f"fetched {commit}" in done.stdout
    assert "open-sesame" not in "".join(
        path.read_text(errors="replace") for path in (code / ".git").glob("*") if path.is_file()
    )


def test_git_reads_the_token_from_the_environment_only(tmp_path: Path) -> None:
    fetch = fetch_container(tmp_path, 40 * "a")
    env = {**fetch.env, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        ["git", "credential", "fill"], env=env, input="protocol=https\nhost=git.example.com\n\n",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "password=open-sesame" in done.stdout
