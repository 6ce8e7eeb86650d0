"""The workflows: least permissions, pinned actions, and the scripts that they call."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import ROOT
from tests.unit.review.cases import CASES, MERGED, NEW, OLD
from tests.unit.review.repositories import Case, build, git
from tfd.review.output.comment import MARKER

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
HEAD = 40 * "b"
# GitHub's answers, by the path that is asked for; like `gh`, it passes them through the expression of --jq.
GH = """#!/usr/bin/env python3
import json, os, pathlib, subprocess, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
stdin = "" if sys.stdin.isatty() or "body=@-" not in arguments else sys.stdin.read()
body = [pathlib.Path(a.removeprefix("body=@")).read_text() for a in arguments if a.startswith("body=@/")]
with (here / "calls").open("a") as calls:
    calls.write(json.dumps({"arguments": arguments, "body": stdin or "".join(body)}) + "\\n")
if arguments[:2] == ["run", "download"]:
    target = pathlib.Path(arguments[arguments.index("--dir") + 1])
    (target / "comment.md").write_text((here / "comment.md").read_text())
elif "--jq" in arguments:
    [path] = [a for a in arguments if a.startswith("repos/")]
    answer = json.loads((here / "answers.json").read_text())[path]
    expression = arguments[arguments.index("--jq") + 1]
    sys.exit(subprocess.run(["jq", "--raw-output", expression], input=json.dumps(answer), text=True).returncode)
"""


def loaded(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in loaded(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_permissions_are_set_for_each_job(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {}
    assert all(job["permissions"] and job["timeout-minutes"] for job in workflow["jobs"].values())
    assert "pull_request_target" not in path.read_text()
    assert "secrets." not in path.read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_steps_call_scripts(path: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for step in steps(path):
        if "uses" in step:
            assert re.search(rf"uses: {re.escape(step['uses'])} # v[0-9.]+$", path.read_text(), re.M), step
            assert re.fullmatch(r"[a-z/-]+@[0-9a-f]{40}", step["uses"])
        elif found := re.fullmatch(r'(?:sudo env "PATH=\$PATH" )?make ([a-z0-9-]+)', step["run"]):
            assert found[1] in targets
        else:
            script, *_ = step["run"].split()
            assert os.access(ROOT / script, os.X_OK), step


def test_only_three_workflows_may_write() -> None:
    writing = {
        path.stem
        for path in WORKFLOWS
        for job in loaded(path)["jobs"].values()
        if "write" in job["permissions"].values()
    }
    assert writing == {"review-comment", "results", "release"}


def test_files_that_decide_about_merges_have_owners() -> None:
    owners = (ROOT / ".github" / "CODEOWNERS").read_text()
    for place in (".github/", "argocd/", "charts/", "review.yaml", "schema/", "tfd/", "jobs/"):
        assert re.search(rf"^/{re.escape(place)}\s+@", owners, re.M), place


class GitHub:
    """A fake `gh` that answers from a folder and records its calls."""

    def __init__(self, folder: Path, answers: dict[str, Any], card: str = "") -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "gh").write_text(GH)
        (folder / "gh").chmod(0o755)
        (folder / "answers.json").write_text(json.dumps(answers))
        (folder / "comment.md").write_text(card)

    def run(self, script: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [cwd / "scripts" / script],
            env=os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "o/r"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def posted(self) -> list[tuple[str, str, str]]:
        """Return method, path and body of each comment that was written."""
        calls = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        found = []
        for call in calls:
            if call["body"]:
                [path] = [word for word in call["arguments"] if word.startswith("repos/")]
                words = call["arguments"]
                found.append((words[words.index("-X") + 1] if "-X" in words else "POST", path, call["body"]))
        return found


needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq stands for gh's own --jq here")
PULLS = {"repos/o/r/pulls": [{"number": 7, "head": {"sha": HEAD}}, {"number": 8, "head": {"sha": 40 * "c"}}]}
RUN = {"RUN_ID": "1", "HEAD_COMMIT": HEAD, "HEAD_OWNER": "ada", "HEAD_BRANCH": "a b&state=closed"}
COMMENTS = "repos/o/r/issues/7/comments"


@needs_jq
def test_first_review_creates_a_comment(tmp_path: Path) -> None:
    card = f"{MARKER}\n### words\n"
    forged = {"id": 5, "user": {"login": "eve"}, "body": card}
    hub = GitHub(tmp_path / "gh", PULLS | {COMMENTS: [forged]}, card)
    done = hub.run("ci-comment.sh", **RUN)
    assert done.returncode == 0, done.stderr
    assert hub.posted() == [("POST", COMMENTS, card)]


@needs_jq
def test_next_review_replaces_the_comment(tmp_path: Path) -> None:
    mine = {"id": 6, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\nold"}
    other = {"id": 4, "user": {"login": "github-actions[bot]"}, "body": f"about {MARKER}"}
    hub = GitHub(tmp_path / "gh", PULLS | {COMMENTS: [other, mine]}, f"{MARKER}\nnew\n")
    assert hub.run("ci-comment.sh", **RUN).returncode == 0
    assert hub.posted() == [("PATCH", "repos/o/r/issues/comments/6", f"{MARKER}\nnew\n")]


@needs_jq
@pytest.mark.parametrize("card", ["### no marker\n", "", f"{MARKER}\n{'x' * 65_536}"])
def test_artifact_without_a_review_comment_is_not_posted(card: str, tmp_path: Path) -> None:
    hub = GitHub(tmp_path / "gh", PULLS | {COMMENTS: []}, card)
    done = hub.run("ci-comment.sh", **RUN)
    assert (done.returncode, done.stderr) == (1, "comment: the artifact of run 1 contains no review comment\n")
    assert hub.posted() == []


@needs_jq
def test_commit_without_a_pull_request_gets_no_comment(tmp_path: Path) -> None:
    hub = GitHub(tmp_path / "gh", PULLS, f"{MARKER}\n")
    assert hub.run("ci-comment.sh", **RUN | {"HEAD_COMMIT": 40 * "d"}).returncode == 0
    assert hub.posted() == []


def checkout(tmp_path: Path, case: Case) -> tuple[Path, str]:
    """Return a clone of the base, whose remote has a pull request, and the commit of the pull request."""
    origin = build(tmp_path / "origin", case).folder
    head = subprocess.check_output(["git", "-C", origin, "rev-parse", "head"], text=True).strip()
    git(origin, "update-ref", "refs/pull/7/head", head)
    git(origin, "branch", "--delete", "--force", "head")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", origin, clone], check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    return clone, head


@needs_jq
def test_review_fetches_objects_and_counts_approvals_of_the_newest_commit(tmp_path: Path) -> None:
    clone, head = checkout(tmp_path, CASES["rule-gpus-and-hours"])

    def reviews(*words: tuple[str, str, str]) -> dict[str, Any]:
        listed = [{"user": {"login": who}, "state": state, "commit_id": commit} for who, state, commit in words]
        return {"repos/o/r/pulls/7/reviews": listed}

    def exit_code(number: int, answers: dict[str, Any]) -> int:
        hub = GitHub(tmp_path / f"gh{number}", answers)
        return hub.run("ci-review.sh", clone, NUMBER="7", HEAD_COMMIT=head).returncode

    assert exit_code(1, reviews()) == 1
    assert exit_code(2, reviews(("maintainers", "APPROVED", 40 * "e"))) == 1
    assert exit_code(3, reviews(("maintainers", "APPROVED", head), ("maintainers", "DISMISSED", head))) == 1
    assert exit_code(4, reviews(("eve", "APPROVED", head))) == 1
    assert exit_code(5, reviews(("maintainers", "APPROVED", head), ("maintainers", "COMMENTED", head))) == 0
    assert (clone / "build/review/comment.md").read_text().startswith(f"{MARKER}\n### ✅ Merging starts 1 run")
    assert json.loads((clone / "build/review/review.json").read_text())["head"] == head
    assert not (clone / NEW).exists()


@pytest.mark.parametrize(("number", "head"), [("7; echo", HEAD), ("7", "main"), ("../7", HEAD)])
def test_review_script_refuses_other_than_numbers_and_commits(number: str, head: str, tmp_path: Path) -> None:
    done = GitHub(tmp_path / "gh", {}).run("ci-review.sh", NUMBER=number, HEAD_COMMIT=head)
    assert (done.returncode, done.stderr.startswith("NUMBER, HEAD_COMMIT: got ")) == (2, True)


@needs_jq
def test_result_is_posted_on_the_pull_request_that_added_the_file(tmp_path: Path) -> None:
    clone, _ = checkout(tmp_path, Case({}, MERGED))
    added = subprocess.check_output(["git", "-C", clone, "log", "--format=%H", "-1", "--", OLD], text=True).strip()
    hub = GitHub(tmp_path / "gh", {f"repos/o/r/commits/{added}/pulls": [{"number": 7}]})
    facts = {
        "TEAM": "vision",
        "RUN": "digits-41",
        "STATE": "Complete",
        "MESSAGE": "accuracy 0.97\n@everyone `x` <!-- -->",
    }
    done = hub.run("ci-result.sh", clone, **facts)
    assert done.returncode == 0, done.stderr
    [(method, path, body)] = hub.posted()
    assert (method, path) == ("POST", COMMENTS)
    assert body == (
        "`vision/digits-41` ended: `Complete`\n\n<code>accuracy 0&#46;97&#92;n&#64;everyone &#96;x&#96; "
        "&#60;&#33;&#45;&#45; &#45;&#45;&#62;</code>\n"
    )


@pytest.mark.parametrize("run", ["../x", "Digits", "a b", ""])
def test_result_with_an_invalid_run_name_is_not_posted(run: str, tmp_path: Path) -> None:
    hub = GitHub(tmp_path / "gh", {})
    done = hub.run("ci-result.sh", TEAM="vision", RUN=run, STATE="", MESSAGE="")
    assert (done.returncode, done.stderr.startswith("TEAM/RUN: got an invalid run name")) == (1, True)


def test_release_refuses_a_tag_of_another_chart_version() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "release.sh", "publish"],
        env=os.environ | {"GITHUB_REF_NAME": "tf-distributed-99.0.0", "GITHUB_REPOSITORY": "o/r"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('release: GITHUB_REF_NAME: got "tf-distributed-99.0.0"; expected ')


def test_pre_commit_hook_checks_job_files_only(tmp_path: Path) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    chosen = re.compile(hook["files"])
    assert chosen.search("jobs/vision/a.yaml")
    assert not chosen.search("jobs/vision/deep/a.yaml")
    assert not chosen.search("jobs/vision/a.py")
    refused = tmp_path / "refused.yaml"
    refused.write_text("storage: {claim: runs}\nstate: unknown\n")
    done = subprocess.run(
        [*hook["entry"].split(), "jobs/examples/digits-one-device.yaml", refused],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"{refused}:2:1: state: got ")
