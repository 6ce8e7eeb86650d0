"""No input and no error of its own leaves a review without a result: exit code 2, and a card that names the file."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.review.cases import FASTER, MERGED, NEW, OLD
from tests.unit.review.repositories import LINK, RUN, Case, Files, build, changed, commit, git, review_of
from tfd.cli import main
from tfd.jobfile import helm, helm_yaml
from tfd.review.analysis import history, pull_request
from tfd.review.analysis.findings import Level
from tfd.review.analysis.fleet import Totals
from tfd.review.analysis.history import Deleted
from tfd.review.analysis.key_changes import changed_keys
from tfd.review.analysis.reviewer import RunReviewer
from tfd.review.analysis.run_review import RunReview
from tfd.review.output import comment
from tfd.review.sources.budget import Budget
from tfd.review.sources.git import Repository

OTHER = "jobs/vision/digits-43.yaml"
TEMPLATE = helm.template  # The tests have another one, which remembers its output.
STYLES = pytest.mark.parametrize("style", ["text", "markdown", "json"])


def run(folder: Path, style: str = "markdown") -> Result:
    words = ["review", "--base", "main", "--head", "head", "--repo", str(folder), "--format", style]
    return CliRunner().invoke(main, words, catch_exceptions=False)


NUMBERS = {
    "int of 400 digits": f"owner: {400 * '9'}\n",
    "int of 5000 digits": f"owner: {5000 * '9'}\n",
    "key of 400 digits": f"labels: {{{400 * '9'}: a}}\n",
    "hex of 70 bits": "trainer: {seed: 0x3fffffffffffffffff}\n",
    "cpu 1e-7": "tensorboard: {resources: {limits: {cpu: 1e-7}}}\n",
    "cpu 1e21": "tensorboard: {resources: {limits: {cpu: 1e21}}}\n",
    "device 1e21": "tensorboard: {resources: {limits: {example.com/x: 1e21}}}\n",
    "files named like numbers": 'code: {files: {"0x10": a, "16": b, "null": c}}\n',
    "port of 1e300": "network: {port: 1e300}\n",
    "date": "description: 2001-01-01\n",
    "alias of a long text": f"owner: &a {'x' * 30_000}\nargs: [{', '.join(['*a'] * 250)}]\n",
}


def test_numbers_of_every_form_are_judged_in_the_pull_request_and_on_the_base(tmp_path: Path) -> None:
    files = {f"odd-{number}.yaml": RUN + text for number, text in enumerate(NUMBERS.values())}
    base: Files = {**MERGED, **{f"jobs/old/{name}": text for name, text in files.items()}}
    found = review_of(tmp_path / "r", Case({NEW: FASTER, **{f"jobs/new/{k}": v for k, v in files.items()}}, base))
    assert found.exit_code == 1
    assert not found.of_level(Level.UNKNOWN)
    judged = {run.path for run in found.runs if run.merged_rendering or any(f.path == run.path for f in run.findings)}
    assert judged == {NEW, *(f"jobs/new/{name}" for name in files)}
    assert [run.path for run in found.runs if run.merged_rendering][-1] == NEW


def test_names_that_an_older_chart_does_not_quote_refuse_only_that_file(tmp_path: Path) -> None:
    template = "charts/tf-distributed/templates/code-configmap.yaml"
    folder = build(tmp_path / "r", Case({}, MERGED)).folder
    commit(folder, {template: changed((folder / template).read_text(), ("toJson $name", "$name"))})
    git(folder, "tag", "--force", f"tf-distributed-{RUN.split('chartVersion: ')[1].split()[0]}")
    git(folder, "switch", "--quiet", "--force-create", "head")
    commit(folder, {NEW: FASTER, OTHER: f'{FASTER}code: {{files: {{"0x10": a, "16": b}}}}\n'})
    found = pull_request.review_pull_request(Repository(folder), "main", "head", ())
    assert {finding.path for finding in found.of_level(Level.REFUSED)} == {OTHER}
    assert [run.path for run in found.runs if run.merged_rendering] == [NEW]


@STYLES
def test_error_of_the_review_at_a_file_names_it_and_keeps_the_others(
    style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "r", Case({NEW: FASTER, OTHER: f"{RUN}owner: Ada\n"}, MERGED))
    examine = RunReviewer.examine

    def failing(self: RunReviewer, path: str) -> RunReview:
        if path == OTHER:
            raise ValueError("text of an error")
        return examine(self, path)

    monkeypatch.setattr(RunReviewer, "examine", failing)
    done = run(tmp_path / "r", style)
    assert done.exit_code == 2
    assert f"{OTHER}" in done.output
    assert "The review itself failed" in done.output
    assert "text of an error" not in done.output
    assert "digits-42" in done.output


@STYLES
def test_error_of_the_review_elsewhere_still_writes_a_card(
    style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))
    monkeypatch.setattr(comment, "comment", None)
    monkeypatch.setattr(comment, "lines", None)
    monkeypatch.setattr("tfd.review.output.json_report.as_json", None)
    done = run(tmp_path / "r", style)
    assert done.exit_code == 2
    assert "The review itself failed (TypeError in review.py, line " in done.stderr
    assert "Traceback" not in done.output
    assert {"text": "", "markdown": "<!-- tfd review -->\n### ❔", "json": '"exitCode": 2'}[style] in done.stdout


def test_review_that_takes_too_long_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))
    monkeypatch.setattr(pull_request, "Budget", lambda: Budget(-1))
    done = run(tmp_path / "r", "text")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{NEW}: got a review of more than -1 s; expected less. Split the pull request")


def test_what_is_known_is_shown_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over a team comes last, and without it the merge cannot be judged."""
    build(tmp_path / "r", Case({NEW: FASTER}, MERGED))

    def late(*_: object) -> None:
        with Budget(-1).at(OLD):
            pass

    monkeypatch.setattr(Totals, "of", late)
    done = run(tmp_path / "r", "text")
    assert done.exit_code == 2
    assert f"unknown: {OLD}: got a review of more than -1 s; expected less." in done.stdout
    assert "vision/digits-42 starts: " in done.stdout


def test_changed_files_of_too_many_values_cannot_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the base branch do not count: their number has no limit, and each of them was reviewed."""
    files: Files = {f"jobs/vision/new-{number}.yaml": FASTER for number in range(3)}
    folder = build(tmp_path / "r", Case(files, MERGED)).folder
    values = len(helm_yaml.load(FASTER).positions)
    monkeypatch.setattr(pull_request, "MOST_VALUES", 3 * values)
    assert run(folder).exit_code == 0
    monkeypatch.setattr(pull_request, "MOST_VALUES", 3 * values - 1)
    done = run(folder)
    assert done.exit_code == 2
    assert done.stderr.startswith("jobs/vision/new-2.yaml: got more values in all changed job files; expected at most ")


@pytest.mark.parametrize(
    ("program", "got"),
    [("kill -9 $$", "exit code -9"), ("sleep 9", "more than 2 s of Helm"), ("exit 2", "exit code 2")],
)
def test_deletion_is_not_judged_where_helm_has_no_result(
    program: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a run that the chart refuses never started. Otherwise the deletion of an active run would pass."""
    build(tmp_path / "r", Case({OLD: None}, MERGED))
    (tmp_path / "helm").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "helm").chmod(0o755)
    monkeypatch.setattr(helm, "find_helm", lambda: str(tmp_path / "helm"))
    monkeypatch.setattr(helm, "template", TEMPLATE)
    monkeypatch.setattr(helm, "SECONDS", 2)
    done = run(tmp_path / "r", "text")
    assert done.exit_code == 2
    assert f"{OLD}:1:1: unknown: " in done.stdout
    assert f"got {got}; expected" in done.stdout


def deleted(folder: Path) -> Deleted:
    return Deleted(Repository(folder), "main")


def test_history_of_hostile_files_is_read_within_limits(tmp_path: Path) -> None:
    hostile: Files = {
        "jobs/vision/large.yaml": "a: " + "x" * 70_000,
        "jobs/vision/digits.yaml": f"a: {400 * '9'}\n",
        "jobs/vision/link.yaml": f"{LINK}digits-41.yaml",
        "jobs/vision/broken.yaml": "\x00[",
        "jobs/vision/bytes.yaml": "\udcff",
    }
    case = Case({NEW: RUN}, dict.fromkeys(hostile), before={**hostile, "jobs/vision/fine.yaml": RUN})
    found = review_of(tmp_path / "r", Case(case.head, {**case.base, "jobs/vision/fine.yaml": None}, case.before))
    assert found.exit_code == 0
    assert [each for each in found.of_level(Level.WARNING) if "jobs/vision/fine.yaml (deleted)" in str(each.message)]
    names = {each.run for each in deleted(tmp_path / "r").jobs}
    assert names == {"digits", "broken", "bytes", "fine"}
    assert set(deleted(tmp_path / "r").entries) - {f"jobs/vision/{name}.yaml" for name in names} == {
        "jobs/vision/large.yaml"
    }


def test_history_has_no_file_that_only_a_branch_had(tmp_path: Path) -> None:
    """A commit inside a merged pull request is never on the base branch, so its job file never ran."""
    folder = build(tmp_path / "r", Case({"jobs/vision/inside.yaml": RUN}, MERGED)).folder
    git(folder, "switch", "--quiet", "head")
    commit(folder, {"jobs/vision/inside.yaml": None, "README.md": "words\n"})
    git(folder, "switch", "--quiet", "main")
    git(folder, "merge", "--quiet", "--no-ff", "-m", "merge", "head")
    assert not deleted(folder).entries


@pytest.mark.parametrize("limit", ["MOST_DELETED_BYTES", "MOST_DELETED_VALUES"])
def test_newest_deleted_files_are_read_first(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build(tmp_path / "r", Case({})).folder
    for name in ("old", "middle", "new"):
        commit(folder, {f"jobs/vision/{name}.yaml": RUN})
        commit(folder, {f"jobs/vision/{name}.yaml": None})
    values = len(deleted(folder).jobs[0].document.positions)  # type: ignore[union-attr]
    monkeypatch.setattr(history, limit, 2 * (len(RUN) if limit == "MOST_DELETED_BYTES" else values))
    assert {each.run for each in deleted(folder).jobs} == {"new", "middle"}


def test_history_is_not_read_for_a_pull_request_without_a_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deleted, "entries", None)
    monkeypatch.setattr(Deleted, "jobs", None)
    assert review_of(tmp_path / "r", Case({OLD: f"{RUN}state: suspended\n"}, MERGED)).exit_code == 0


def test_key_of_a_class_that_this_version_does_not_know_is_identity(tmp_path: Path) -> None:
    source = Path(pull_request.__file__).parents[3] / "charts/tf-distributed"
    text = (source / "values.schema.json").read_text()
    (tmp_path / "values.yaml").write_text((source / "values.yaml").read_text())
    (tmp_path / "values.schema.json").write_text(text.replace('"x-class": "metadata"', '"x-class": "unknown"'))
    [change] = changed_keys({}, {"owner": "Ada"}, tmp_path, tmp_path)
    assert (change.kind, change.policy[:16]) == ("identity", "needs a new run;")


def test_card_exists_when_the_system_ends_the_review(tmp_path: Path) -> None:
    """The memory of the runner may end: the process writes nothing, and its exit code is none of tfd's."""
    root = Path(pull_request.__file__).parents[3]
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/ci-review.sh").write_bytes((root / "scripts/ci-review.sh").read_bytes())
    for name, text in {"tfd": "kill -9 $$", "gh": "exit 0", "git": "exit 0"}.items():
        (tmp_path / ".venv/bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".venv/bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / ".venv/bin" / name).chmod(0o755)
    environment = {"NUMBER": "7", "HEAD_COMMIT": 40 * "a", "GITHUB_REPOSITORY": "o/r", "BASE": "main", "BRANCH": "main"}
    script = ["bash", tmp_path / "scripts/ci-review.sh"]
    done = subprocess.run(script, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, check=False)
    card = (tmp_path / "build/review/comment.md").read_text()
    assert card.startswith("<!-- tfd review -->\n### ❔ The review itself failed\n")
    assert done.returncode == 2
    assert json.loads((tmp_path / "build/review/review.json").read_text())["exitCode"] == 2
