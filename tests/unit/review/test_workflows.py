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
if "--jq" in arguments:
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
            continue
        words = re.sub(r'^sudo (?:--preserve-env )?env "PATH=\$PATH" (?:HOME=/root )?', "", step["run"])
        if found := re.fullmatch("make ([a-z0-9-]+)", words):
            assert found[1] in targets
        else:
            script, *_ = words.split()
            assert os.access(ROOT / script, os.X_OK), step


def test_only_four_workflows_may_write() -> None:
    writing = {
        path.stem
        for path in WORKFLOWS
        for job in loaded(path)["jobs"].values()
        if "write" in job["permissions"].values()
    }
    assert writing == {"review-comment", "results", "release", "docs"}


def test_release_signs_without_development_tools_and_only_in_this_project() -> None:
    jobs = loaded(ROOT / ".github" / "workflows" / "release.yaml")["jobs"]
    assert jobs["check"]["permissions"] == {"contents": "read"}
    assert jobs["check"]["if"] == "github.repository == 'tf-distributed/tf-distributed'"
    assert jobs["release"]["needs"] == "check"
    assert not [step for step in jobs["release"]["steps"] if "make" in step.get("run", "").split()]


def test_release_uploads_to_the_index_what_it_downloaded_and_verified(tmp_path: Path) -> None:
    release = [
        step.get("run", "") for step in loaded(ROOT / ".github/workflows/release.yaml")["jobs"]["release"]["steps"]
    ]
    verbs = [found[1] for run in release if (found := re.search(r"scripts/release\.sh (\w+)", run))]
    assert verbs == ["publish", "verify", "index"]
    for name in ("scripts/release.sh", "charts/tf-distributed/Chart.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    old = tmp_path / "build" / "release" / "old.whl"
    old.parent.mkdir(parents=True)
    old.touch()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("gh", "python"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>calls\n')
        (programs / name).chmod(0o755)
    [version] = re.findall("^version: (.+)$", (tmp_path / "charts/tf-distributed/Chart.yaml").read_text(), re.M)
    tag = f"tf-distributed-{version}"
    given = {"GITHUB_REF_NAME": tag, "GITHUB_REPOSITORY": "O/r", "GITHUB_WORKFLOW_REF": "O/r/w@t"}
    subprocess.run([tmp_path / "scripts" / "release.sh", "verify"], env=os.environ | given, check=True)
    assert not old.exists()
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"gh release download {tag} --dir build/release",
        "python -m release verify ghcr.io/o/r --identity https://github.com/O/r/w@t",
    ]


def test_files_that_decide_about_merges_have_owners() -> None:
    owners = (ROOT / ".github" / "CODEOWNERS").read_text()
    for place in (".github/", "argocd/", "charts/", "review.yaml", "schema/", "tfd/", "jobs/"):
        assert re.search(rf"^/{re.escape(place)}\s+@", owners, re.M), place


class GitHub:
    """A fake `gh` that answers from a folder and records its calls."""

    def __init__(self, folder: Path, answers: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "gh").write_text(GH)
        (folder / "gh").chmod(0o755)
        (folder / "answers.json").write_text(json.dumps(answers))

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
COMMENTS = "repos/o/r/issues/7/comments"
COMMENT = {"RUN_ID": "1", "HEAD_COMMIT": HEAD, "NUMBER": "7"}


def scripts(folder: Path, card: str | None = None) -> Path:
    """Return a folder with the scripts and, if given, the comment that a review wrote."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    if card is not None:
        (folder / "build/review").mkdir(parents=True)
        (folder / "build/review/comment.md").write_text(card)
    return folder


@needs_jq
def test_first_review_creates_a_comment(tmp_path: Path) -> None:
    card = f"{MARKER}\n### words\n"
    forged = {"id": 5, "user": {"login": "eve"}, "body": card}
    hub = GitHub(tmp_path / "gh", {COMMENTS: [forged]})
    done = hub.run("ci-comment.sh", scripts(tmp_path / "r", card), **COMMENT)
    assert done.returncode == 0, done.stderr
    assert hub.posted() == [("POST", COMMENTS, card)]


@needs_jq
def test_next_review_replaces_the_comment(tmp_path: Path) -> None:
    mine = {"id": 6, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\nold"}
    other = {"id": 4, "user": {"login": "github-actions[bot]"}, "body": f"about {MARKER}"}
    hub = GitHub(tmp_path / "gh", {COMMENTS: [other, mine]})
    folder = scripts(tmp_path / "r", f"{MARKER}\nnew\n")
    assert hub.run("ci-comment.sh", folder, **COMMENT).returncode == 0
    assert hub.posted() == [("PATCH", "repos/o/r/issues/comments/6", f"{MARKER}\nnew\n")]


@needs_jq
@pytest.mark.parametrize("card", ["### no marker\n", "", f"{MARKER}\n{'x' * 65_536}", None])
def test_review_without_a_comment_replaces_the_earlier_result(card: str | None, tmp_path: Path) -> None:
    mine = {"id": 6, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\n### ✅ Merging starts 1 run"}
    hub = GitHub(tmp_path / "gh", {COMMENTS: [mine]})
    done = hub.run("ci-comment.sh", scripts(tmp_path / "r", card), **COMMENT)
    assert done.returncode == 0, done.stderr
    [(method, path, body)] = hub.posted()
    assert (method, path) == ("PATCH", "repos/o/r/issues/comments/6")
    assert body.startswith(f"{MARKER}\n### ❔ The review of {HEAD[:12]} failed. Do not merge.")


@pytest.mark.parametrize(("number", "head"), [("7/../8", HEAD), ("", HEAD), ("7", "main")])
def test_comment_script_refuses_other_than_numbers_and_commits(number: str, head: str, tmp_path: Path) -> None:
    done = GitHub(tmp_path / "gh", {}).run("ci-comment.sh", RUN_ID="1", NUMBER=number, HEAD_COMMIT=head)
    assert (done.returncode, done.stderr.startswith("NUMBER, HEAD_COMMIT: got ")) == (2, True)


@needs_jq
@pytest.mark.parametrize(
    ("pulls", "number"),
    [
        ([{"number": 7, "head": {"sha": HEAD}, "base": {"ref": "main"}}], "7"),
        ([{"number": 8, "head": {"sha": 40 * "c"}, "base": {"ref": "main"}}], ""),
        # One commit may be the head of pull requests into several branches.
        (
            [
                {"number": 8, "head": {"sha": HEAD}, "base": {"ref": "lax"}},
                {"number": 7, "head": {"sha": HEAD}, "base": {"ref": "main"}},
            ],
            "7",
        ),
        ([], ""),
    ],
)
def test_comment_belongs_to_the_pull_request_into_the_default_branch(
    pulls: list[dict[str, Any]], number: str, tmp_path: Path
) -> None:
    hub, output = GitHub(tmp_path / "gh", {"repos/o/r/pulls": pulls}), tmp_path / "output"
    head = {"HEAD_COMMIT": HEAD, "HEAD_OWNER": "ada", "HEAD_BRANCH": "a b&state=closed"}
    assert hub.run("ci-find.sh", BRANCH="main", GITHUB_OUTPUT=str(output), **head).returncode == 0
    assert output.read_text() == f"number={number}\n"


def test_posting_job_takes_nothing_from_the_workflow_of_the_pull_request() -> None:
    """The comment is the artifact of a job of its own workflow, which GitHub runs as the default branch has it."""
    path = ROOT / ".github/workflows/review-comment.yaml"
    reviewing, posting = loaded(path)["jobs"]["review"], loaded(path)["jobs"]["comment"]
    assert "write" not in reviewing["permissions"].values()
    assert "review.yaml'" in reviewing["if"]
    [artifact] = [step["with"] for step in posting["steps"] if "download-artifact" in step.get("uses", "")]
    assert artifact.keys() == {"name", "path"}, "no run-id: an artifact of this workflow run"
    assert not any("ref" in step.get("with", {}) for step in [*reviewing["steps"], *posting["steps"]])
    assert not any("upload-artifact" in step.get("uses", "") for step in steps(path.with_name("review.yaml")))


def test_review_starts_again_for_every_event_that_changes_its_result() -> None:
    workflow = loaded(ROOT / ".github/workflows/review.yaml")
    events = workflow[True]  # YAML 1.1 reads `on` as true
    assert set(events["pull_request"]["types"]) == {"opened", "synchronize", "reopened", "edited"}
    assert set(events["pull_request_review"]["types"]) == {"submitted", "dismissed"}
    assert events["merge_group"] == {"types": ["checks_requested"]}
    checkout = workflow["jobs"]["review"]["steps"][0]["with"]["ref"]
    assert "pull_request" not in checkout, "the tool of a base that anybody may choose"
    # A skipped job counts as a passed check, so no event of the job is skipped.
    assert all("if" not in job for job in workflow["jobs"].values())


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


BRANCHES = {"BRANCH": "main", "BASE": "main"}


def review(login: str, state: str, commit: str, association: str = "MEMBER") -> dict[str, Any]:
    """Return a review as GitHub lists it."""
    return {"user": {"login": login}, "state": state, "commit_id": commit, "author_association": association}


@pytest.fixture(scope="module")
def too_many_gpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return what `checkout` returns for a pull request that needs a waiver. A review only adds build/ to it."""
    return checkout(tmp_path_factory.mktemp("gpus"), CASES["rule-gpus-and-hours"])


@needs_jq
def test_review_fetches_objects_and_counts_approvals_of_the_newest_commit(
    too_many_gpus: tuple[Path, str], tmp_path: Path
) -> None:
    clone, head = too_many_gpus

    def reviews(*words: tuple[str, str, str]) -> dict[str, Any]:
        return {"repos/o/r/pulls/7/reviews": [review(*each) for each in words]}

    def exit_code(number: int, answers: dict[str, Any]) -> int:
        hub = GitHub(tmp_path / f"gh{number}", answers)
        return hub.run("ci-review.sh", clone, NUMBER="7", HEAD_COMMIT=head, **BRANCHES).returncode

    assert exit_code(1, reviews()) == 1
    assert exit_code(2, reviews(("maintainers", "APPROVED", 40 * "e"))) == 1
    assert exit_code(3, reviews(("maintainers", "APPROVED", head), ("maintainers", "DISMISSED", head))) == 1
    assert exit_code(4, reviews(("eve", "APPROVED", head))) == 1
    assert exit_code(5, reviews(("maintainers", "APPROVED", head), ("maintainers", "COMMENTED", head))) == 0
    assert (clone / "build/review/comment.md").read_text().startswith(f"{MARKER}\n### ✅ Merging starts 1 run")
    assert json.loads((clone / "build/review/review.json").read_text())["head"] == head
    assert not (clone / NEW).exists()


@needs_jq
@pytest.mark.parametrize(
    ("associations", "code"),
    [(["OWNER"], 0), (["COLLABORATOR"], 0), (["NONE", "CONTRIBUTOR", "FIRST_TIMER", "MEMBERS", ""], 1)],
    ids=["owner", "collaborator", "others"],
)
def test_only_members_and_collaborators_waive_rules(
    associations: list[str], code: int, too_many_gpus: tuple[Path, str], tmp_path: Path
) -> None:
    clone, head = too_many_gpus
    approvals = [review("maintainers", "APPROVED", head, association) for association in associations]
    hub = GitHub(tmp_path / "gh", {"repos/o/r/pulls/7/reviews": approvals})
    assert hub.run("ci-review.sh", clone, NUMBER="7", HEAD_COMMIT=head, **BRANCHES).returncode == code


@needs_jq
def test_merge_queue_counts_the_approvals_of_its_pull_request(tmp_path: Path) -> None:
    """The queue builds a commit of its own on top of the base; nobody has approved that one."""
    clone, head = checkout(tmp_path, CASES["rule-gpus-and-hours"])
    origin = tmp_path / "origin"
    tree = subprocess.check_output(["git", "-C", origin, "merge-tree", "main", head], text=True).split()[0]
    parents = ["-p", "main", "-p", head]
    built = subprocess.check_output(
        ["git", "-C", origin, "commit-tree", tree, *parents, "-m", "queue"],
        text=True,
        env=os.environ | {f"GIT_{who}_{key}": "q@q" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
    ).strip()
    queue = f"refs/heads/gh-readonly-queue/main/pr-7-{head}"
    git(origin, "update-ref", queue, built)
    approved = review("maintainers", "APPROVED", head)
    answers = {"repos/o/r/pulls/7/reviews": [approved], "repos/o/r/pulls/7": {"head": {"sha": head}}}

    def exit_code(name: str, answers: dict[str, Any]) -> int:
        facts = {"NUMBER": "", "QUEUE_REF": queue, "HEAD_COMMIT": built, "BRANCH": "main", "BASE": "refs/heads/main"}
        return GitHub(tmp_path / name, answers).run("ci-review.sh", clone, **facts).returncode

    assert exit_code("approved", answers) == 0
    assert exit_code("open", answers | {"repos/o/r/pulls/7/reviews": []}) == 1


@pytest.mark.parametrize("base", ["lax", "", "refs/heads/main2"])
def test_review_for_another_branch_is_no_passed_check(base: str, tmp_path: Path) -> None:
    facts = {"NUMBER": "7", "HEAD_COMMIT": HEAD, "BRANCH": "main", "BASE": base}
    done = GitHub(tmp_path / "gh", {}).run("ci-review.sh", **facts)
    assert (done.returncode, done.stderr.startswith("BASE: got ")) == (2, True)


@pytest.mark.parametrize(("number", "head"), [("7; echo", HEAD), ("7", "main"), ("../7", HEAD)])
def test_review_script_refuses_other_than_numbers_and_commits(number: str, head: str, tmp_path: Path) -> None:
    done = GitHub(tmp_path / "gh", {}).run("ci-review.sh", NUMBER=number, HEAD_COMMIT=head, **BRANCHES)
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
        "`vision/digits-41` ended: `Complete`\n\n<code>accuracy 0&#46;97&#60;U&#43;000A&#62;<!-- -->"
        "&#64;everyone &#96;x&#96; &#60;&#33;&#45;&#45; &#45;&#45;&#62;</code>\n"
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
