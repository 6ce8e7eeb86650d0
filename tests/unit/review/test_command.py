"""The command `tfd review`: formats, exit codes, and the absence of side effects."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.review.cases import ARCHIVED, CASES, FASTER, MERGED, NEW, OLD, ONE_GPU
from tests.unit.review.repositories import RUN, Case, Files, build, git
from tfd.cli import main
from tfd.jobfile import helm


def run(folder: Path, *options: str, base: str = "main", head: str = "head") -> Result:
    arguments = ["review", "--base", base, "--head", head, "--repo", str(folder), *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_text_has_headline_findings_and_runs(tmp_path: Path) -> None:
    build(tmp_path / "r", CASES["identity-changed"])
    done = run(tmp_path / "r")
    assert done.exit_code == 1
    assert done.stdout.startswith("Refused: 2 problems\njobs/vision/digits-41.yaml:")
    assert "\n  tfd new vision/digits-42 --from vision/digits-41 && git checkout " in done.stdout
    assert "vision/digits-41 is refused: chief, 2 ps, 4 workers with 1 GPU each, evaluator; 4 GPUs" in done.stdout


def test_json_has_every_fact(tmp_path: Path) -> None:
    build(tmp_path / "r", CASES["new-run"])
    done = run(tmp_path / "r", "--format", "json")
    found = json.loads(done.stdout)
    [only] = found["runs"]
    assert done.exit_code == found["exitCode"] == 0
    assert (only["run"], only["action"], only["request"]["gpus"]) == ("vision/digits-42", "starts", 4)
    assert {"key": "trainer.steps", "class": "identity", "base": 20000, "merged": 60000} in only["differences"]
    assert json.loads(only["tfConfig"]["worker-0"])["task"] == {"type": "worker", "index": 0}
    assert [each["name"] for each in found["applications"]] == ["vision-digits-41", "vision-digits-42"]


@pytest.mark.parametrize(("base", "head"), [("main", "nothing"), ("nothing", "head"), ("--help", "head"), ("main", "")])
@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_unknown_commit_cannot_be_judged(tmp_path: Path, base: str, head: str, style: str) -> None:
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))
    done = run(tmp_path / "r", f"--base={base}", "--format", style, head=head)
    assert done.exit_code == 2
    assert "got an unknown commit; expected a commit, branch or tag" in done.stderr
    assert {"text": "", "markdown": "<!-- tfd review -->\n### ❔ Cannot", "json": '{\n "exitCode": 2'}[
        style
    ] in done.stdout


def test_branches_without_a_common_commit_cannot_be_judged(tmp_path: Path) -> None:
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))
    git(tmp_path / "r", "switch", "--quiet", "--orphan", "stranger")
    git(tmp_path / "r", "commit", "--quiet", "--allow-empty", "-m", "first")
    done = run(tmp_path / "r", head="stranger")
    assert done.exit_code == 2
    assert "git merge-tree: refusing to merge unrelated histories" in done.stderr


def test_merge_cannot_be_judged_without_helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a deletion, which needs no rendering of the merged file."""
    build(tmp_path / "r", CASES["deleted-while-active"])

    def missing() -> str:
        raise helm.HelmError("helm not found")

    monkeypatch.setattr(helm, "find_helm", missing)
    assert run(tmp_path / "r").exit_code == 2


def test_folder_without_git_cannot_be_judged(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 2


def test_review_changes_neither_files_nor_branches(tmp_path: Path) -> None:
    folder = build(tmp_path / "r", CASES["new-run"]).folder

    def state() -> list[str]:
        commands = (["status", "--porcelain"], ["for-each-ref"], ["log", "--format=%H", "-1", "HEAD"])
        return [subprocess.check_output(["git", "-C", folder, *command], text=True) for command in commands]

    before = state()
    run(folder)
    assert state() == before


def test_bare_clone_is_enough(tmp_path: Path) -> None:
    folder = build(tmp_path / "r", CASES["new-run"]).folder
    subprocess.run(["git", "clone", "--quiet", "--bare", folder, tmp_path / "bare"], check=True)
    assert run(tmp_path / "bare").exit_code == 0


@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_formats_do_not_show_a_secret(tmp_path: Path, style: str) -> None:
    secrets = ("hunter2hunter2", f"ghp_{36 * 'x'}", "-----BEGIN RSA PRIVATE KEY-----", "MIIEpAIBAAKCAQ")
    text = (
        f"{FASTER}env:\n- {{name: DB_PASSWORD, value: {secrets[0]}}}\n- {{name: A, value: {secrets[1]}}}\n"
        f"- name: B\n  value: |\n    {secrets[2]}\n    {secrets[3]}\n"
    )
    build(tmp_path / "r", Case({NEW: text}, MERGED))
    done = run(tmp_path / "r", "--format", style)
    assert done.exit_code == 1
    assert not [secret for secret in secrets if secret in done.output]


@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_formats_do_not_show_a_merged_secret(tmp_path: Path, style: str) -> None:
    old = f"{RUN}env: [{{name: A, value: ghp_{36 * 'x'}}}]\n"
    other = f"{ONE_GPU}env: [{{name: DB_PASSWORD, value: swordfish}}]\n"
    base: Files = {OLD: old, "jobs/speech/unchanged.yaml": other}
    build(tmp_path / "r", Case({OLD: f"{old}owner: Ada\n", NEW: FASTER}, base))
    done = run(tmp_path / "r", "--format", style)
    assert done.exit_code == 0
    assert "ghp_" not in done.output
    assert "swordfish" not in done.output


def test_file_that_never_rendered_may_be_deleted(tmp_path: Path) -> None:
    """Argo CD never started a run from it."""
    build(tmp_path / "r", Case({OLD: None}, {OLD: RUN.replace("ps: {replicas: 2}", "ps: {replicas: 0}")}))
    assert run(tmp_path / "r").exit_code == 0


@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_paths_cannot_move_the_cursor(tmp_path: Path, style: str) -> None:
    build(tmp_path / "r", Case({"jobs/vision/\x1b[2J\u202e.yaml": RUN, "a\x1b[2J\udcff": ""}, MERGED))
    done = run(tmp_path / "r", "--format", style)
    assert done.exit_code == 1
    assert not set(done.stdout) & {"\x1b", "\u202e", "\udcff"}


def test_pull_request_with_too_many_files_is_refused_after_200(tmp_path: Path) -> None:
    build(tmp_path / "r", Case({f"jobs/vision/n{n}.yaml": "- a\n" for n in range(300)}, MERGED))
    done = run(tmp_path / "r", "--format", "json")
    found = json.loads(done.stdout)
    assert found["findings"][0]["message"].startswith(
        "got 300 changed job files; expected at most 200 in one pull request."
    )
    assert len(found["runs"]) == 200


@pytest.mark.parametrize("text", [FASTER, ARCHIVED])
def test_branch_that_is_behind_its_base_undoes_nothing(tmp_path: Path, text: str) -> None:
    """The review compares the base with the result of the merge, not with the branch."""
    build(tmp_path / "r", Case({NEW: text.replace("41", "42")}, MERGED, meanwhile={OLD: f"{RUN}owner: Ada\n"}))
    found = json.loads(run(tmp_path / "r", "--format", "json").stdout)
    assert [each["path"] for each in found["runs"]] == [NEW]
