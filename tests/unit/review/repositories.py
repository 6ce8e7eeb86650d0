"""Small git repositories with the chart, schema and rules of this project, and a pull request in each."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.chart.rendering import ROOT
from tfd.review.analysis.pull_request import PullRequestReview, review_pull_request
from tfd.review.sources.git import Repository

VERSION = re.search(r"^version: (.*)$", (ROOT / "charts/tf-distributed/Chart.yaml").read_text(), re.M)[1]  # type: ignore[index]
DIGEST = f"sha256:{64 * 'a'}"
RUN = f"""\
# The usual run.
chartVersion: {VERSION}
strategy: ParameterServer
image: registry.example.com/vision/trainer@{DIGEST}
ps: {{replicas: 2}}
worker: {{replicas: 4, resources: {{limits: {{memory: 2Gi}}}}, gpus: 1}}
evaluator: {{replicas: 1}}
trainer:
  task: digits
  steps: 20000
  hyperparameters: {{learning_rate: 1e-3}}
storage: {{claim: runs}}
tensorboard: {{image: registry.example.com/tools/tensorboard@{DIGEST}}}
"""
BENCH = f"""\
# The usual workbench.
chartVersion: {VERSION}
image: registry.example.com/vision/workbench@{DIGEST}
gpus: 1
resources: {{limits: {{memory: 16Gi}}}}
storage: {{claim: runs}}
home: {{size: 20Gi}}
owner: Ada
"""
LINK = "link:"
"""Prefix of a file's text that makes it a symbolic link to what follows."""

Files = dict[str, str | None]
"""Text of each file, by path; None deletes it."""

_ENVIRONMENT = os.environ | {
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
       (("NAME", "Ada"), ("EMAIL", "ada@example.com"), ("DATE", "2026-01-01T00:00:00Z"))},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def changed(text: str, *edits: tuple[str, str]) -> str:
    """Return `text` with replacements; fail if a text to replace is missing."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Case:
    """A repository and a pull request: `base` is merged, `head` is the change."""

    head: Files
    base: Files = field(default_factory=dict)
    before: Files = field(default_factory=dict)
    """Files merged before `base`, so that they are in the history."""
    meanwhile: Files = field(default_factory=dict)
    """Files merged into the base after the pull request began."""
    approvals: tuple[str, ...] = ()
    tagged: bool = True
    """Whether the git tag of the chart exists."""
    older: str = ""
    """An earlier chart version, with its git tag."""
    release: str = ""
    """A later chart version on the base, with its git tag."""


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, env=_ENVIRONMENT)


def commit(folder: Path, files: Files) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (text is None and path.exists()):
            path.unlink()
        if text is not None and text.startswith(LINK):
            path.symlink_to(text.removeprefix(LINK))
        elif text is not None:
            path.write_bytes(text.encode(errors="surrogateescape"))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "change")


def with_waivers(text: str) -> str:
    """Return the rules of this project with a login that may waive most of them."""
    rules = re.split(r"^(?=  [A-Za-z]+:)", text, flags=re.M)
    return "".join(
        rule if rule.split(":")[0].strip() in UNWAIVABLE else rule.replace("waiver: []", "waiver: [maintainers]")
        for rule in rules
    )


UNWAIVABLE = {"charts", "literalSecrets", "separateChanges", "sharedOutput"}
WITH_WAIVERS = with_waivers((ROOT / "review.yaml").read_text())


def start(folder: Path) -> None:
    """Create a repository with the chart, schema and rules of this project."""
    folder.mkdir(parents=True)
    for name in ("charts", "schema", "review.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name, **({"symlinks": True} if (ROOT / name).is_dir() else {}))
    (folder / "review.yaml").write_text(WITH_WAIVERS)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, {})


def build(folder: Path, case: Case) -> Repository:
    """Create the repository of a case, with the branches main and head."""
    start(folder)
    chart = folder / "charts/tf-distributed/Chart.yaml"
    if case.older:
        text = chart.read_text()
        commit(folder, {"charts/tf-distributed/Chart.yaml": text.replace(VERSION, case.older)})
        git(folder, "tag", f"tf-distributed-{case.older}")
        commit(folder, {"charts/tf-distributed/Chart.yaml": text})
    if case.tagged:
        git(folder, "tag", f"tf-distributed-{VERSION}")
    for files in (case.before, case.base):
        if files:
            commit(folder, files)
    if case.release:
        commit(folder, {"charts/tf-distributed/Chart.yaml": chart.read_text().replace(VERSION, case.release)})
        git(folder, "tag", f"tf-distributed-{case.release}")
    git(folder, "switch", "--quiet", "--create", "head")
    commit(folder, case.head)
    git(folder, "switch", "--quiet", "main")
    if case.meanwhile:
        commit(folder, case.meanwhile)
    return Repository(folder)


def review_of(folder: Path, case: Case) -> PullRequestReview:
    """Build the repository of a case and review its pull request."""
    return review_pull_request(build(folder, case), "main", "head", case.approvals)
