"""`tfd review` as one calls it: formats, exit codes, and what it never does."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.review.cases import ARCHIVED, CASES, FASTER, MERGED, NEW, OLD
from tests.unit.review.repositories import RUN, Case, build, git
from tfd.cli import main
from tfd.jobfile import helm


def run(folder: Path, *options: str, base: str = "main", head: str = "head") -> Result:
    arguments = ["review", "--base", base, "--head", head, "--repo", str(folder), *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_text_is_for_a_terminal(tmp_path: Path) -> None:
    build(tmp_path / "r", CASES["identity-changed"])
    done = run(tmp_path / "r")
    assert done.exit_code == 1
    assert done.stdout.startswith("Refused: 2 problems\njobs/vision/digits-41.yaml:11:21: ")
    assert "\n  tfd new vision/digits-42 --from vision/digits-41 && git checkout " in done.stdout
    assert "vision/digits-41 refused: chief, 2 ps, 4 workers with 1 GPU each, evaluator; 4 GPUs" in done.stdout


def test_json_has_all_of_it(tmp_path: Path) -> None:
    build(tmp_path / "r", CASES["new-run"])
    done = run(tmp_path / "r", "--format", "json")
    found = json.loads(done.stdout)
    [only] = found["runs"]
    assert done.exit_code == found["exitCode"] == 0
    assert (only["run"], only["action"], only["need"]["gpus"]) == ("vision/digits-42", "starts", 4)
    assert {"key": "trainer.steps", "class": "identity", "before": 20000, "after": 60000} in only["differences"]
    assert json.loads(only["tfConfig"]["worker-0"])["task"] == {"type": "worker", "index": 0}
    assert [each["name"] for each in found["applications"]] == ["vision-digits-41", "vision-digits-42"]


@pytest.mark.parametrize(("base", "head"), [("main", "nothing"), ("nothing", "head"), ("--help", "head"), ("main", "")])
@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_unknown_commit_can_not_be_told(tmp_path: Path, base: str, head: str, style: str) -> None:
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))
    done = run(tmp_path / "r", f"--base={base}", "--format", style, head=head)
    assert done.exit_code == 2
    assert "git knows no such commit" in done.stderr
    assert {"text": "", "markdown": "<!-- tfd review -->\n### ❔ Can't", "json": '{\n "exitCode": 2'}[
        style
    ] in done.stdout


def test_without_a_common_commit_nothing_can_be_told(tmp_path: Path) -> None:
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))
    git(tmp_path / "r", "switch", "--quiet", "--orphan", "stranger")
    git(tmp_path / "r", "commit", "--quiet", "--allow-empty", "-m", "first")
    done = run(tmp_path / "r", head="stranger")
    assert done.exit_code == 2
    assert "git merge-tree: refusing to merge unrelated histories" in done.stderr


def test_without_helm_nothing_can_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a deletion, which needs no rendering of the head."""
    build(tmp_path / "r", CASES["deleted-while-active"])

    def missing() -> str:
        raise helm.HelmError("helm not found")

    monkeypatch.setattr(helm, "find_helm", missing)
    assert run(tmp_path / "r").exit_code == 2


def test_no_folder_of_git(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 2


def test_nothing_is_checked_out_and_no_branch_moves(tmp_path: Path) -> None:
    folder = build(tmp_path / "r", CASES["new-run"]).folder

    def state() -> list[str]:
        commands = (["status", "--porcelain"], ["for-each-ref"], ["log", "--format=%H", "-1", "HEAD"])
        return [subprocess.check_output(["git", "-C", folder, *command], text=True) for command in commands]

    before = state()
    run(folder)
    assert state() == before


def test_a_bare_clone_is_enough(tmp_path: Path) -> None:
    folder = build(tmp_path / "r", CASES["new-run"]).folder
    subprocess.run(["git", "clone", "--quiet", "--bare", folder, tmp_path / "bare"], check=True)
    assert run(tmp_path / "bare").exit_code == 0


@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_no_format_shows_a_secret(tmp_path: Path, style: str) -> None:
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
def test_a_secret_that_was_merged_is_not_shown_either(tmp_path: Path, style: str) -> None:
    old = f"{RUN}env: [{{name: A, value: ghp_{36 * 'x'}}}]\n"
    build(tmp_path / "r", Case({OLD: f"{old}owner: Ada\n", NEW: FASTER}, {OLD: old}))
    done = run(tmp_path / "r", "--format", style)
    assert done.exit_code == 0
    assert "ghp_" not in done.output


def test_what_can_be_told_of_a_file_that_nobody_rendered(tmp_path: Path) -> None:
    """To delete a file that Argo CD never could start ends nothing."""
    build(tmp_path / "r", Case({OLD: None}, {OLD: RUN.replace("ps: {replicas: 2}", "ps: {replicas: 0}")}))
    assert run(tmp_path / "r").exit_code == 0


@pytest.mark.parametrize("style", ["text", "markdown", "json"])
def test_no_format_lets_a_path_move_the_cursor(tmp_path: Path, style: str) -> None:
    build(tmp_path / "r", Case({"jobs/vision/\x1b[2J\u202e.yaml": RUN, "a\x1b[2J\udcff": ""}, MERGED))
    done = run(tmp_path / "r", "--format", style)
    assert done.exit_code == 1
    assert not set(done.stdout) & {"\x1b", "\u202e", "\udcff"}


def test_a_pull_request_of_very_many_files_is_not_rendered(tmp_path: Path) -> None:
    build(tmp_path / "r", Case({f"jobs/vision/n{n}.yaml": "- a\n" for n in range(300)}, MERGED))
    done = run(tmp_path / "r", "--format", "json")
    found = json.loads(done.stdout)
    assert found["findings"][0]["message"].startswith("got 300 changed job files, but one pull request may change 200")
    assert len(found["runs"]) == 200


@pytest.mark.parametrize("text", [FASTER, ARCHIVED])
def test_the_merge_counts_and_not_the_branch(tmp_path: Path, text: str) -> None:
    """A branch that is behind its base does not undo what the base did meanwhile."""
    build(tmp_path / "r", Case({NEW: text.replace("41", "42")}, MERGED, meanwhile={OLD: f"{RUN}owner: Ada\n"}))
    found = json.loads(run(tmp_path / "r", "--format", "json").stdout)
    assert [each["path"] for each in found["runs"]] == [NEW]
