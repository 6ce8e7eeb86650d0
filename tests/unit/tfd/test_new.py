"""`tfd new` copies a job file as a text: comments stay, and nothing is written that would be refused."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.review.repositories import RUN, VERSION
from tfd.cli import main
from tfd.jobfile import helm_yaml
from tfd.jobfile.jobfile import JobFile

OLD = Path("jobs/vision/digits-41.yaml")
NEW = Path("jobs/vision/digits-42.yaml")


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    OLD.parent.mkdir(parents=True)


def copy(*options: str, target: str = "vision/digits-42", source: str = "vision/digits-41") -> Result:
    return CliRunner().invoke(main, ["new", target, "--from", source, *options], catch_exceptions=False)


def test_the_copy_is_the_same_text() -> None:
    OLD.write_text(RUN)
    done = copy()
    assert (done.exit_code, done.stdout) == (0, f"{NEW}: written; change it, then `tfd check {NEW}` and commit\n")
    assert NEW.read_text() == RUN
    assert [path.name for path in OLD.parent.iterdir()] in (
        ["digits-41.yaml", "digits-42.yaml"],
        ["digits-42.yaml", "digits-41.yaml"],
    )


def test_state_goes_and_comments_stay() -> None:
    OLD.write_text(f"{RUN}# done\nstate: archived   # in May\n\n# who\nowner: Ada\n")
    assert copy().exit_code == 0
    assert NEW.read_text() == f"{RUN}# done\n\n# who\nowner: Ada\n"


def test_chart_version_is_the_current_one() -> None:
    OLD.write_text(RUN.replace(f"chartVersion: {VERSION}", "chartVersion: 0.0.1   # the first"))
    assert copy().exit_code == 0
    assert NEW.read_text() == RUN.replace(f"chartVersion: {VERSION}", f"chartVersion: {VERSION}   # the first")


def test_chart_version_comes_first_when_it_was_missing() -> None:
    OLD.write_text("# A run.\nstorage: {claim: runs}\n")
    assert copy().exit_code == 0
    assert NEW.read_text() == f"# A run.\nchartVersion: {VERSION}\nstorage: {{claim: runs}}\n"


@pytest.mark.parametrize("before", ["", "warmStartFrom: digits-40\n"])
def test_resume_starts_from_the_old_run(before: str) -> None:
    OLD.write_text(f"{RUN}{before}")
    assert copy("--warm-start").exit_code == 0
    assert NEW.read_text() == f"{RUN}warmStartFrom: digits-41\n"


def test_resume_takes_the_claim_that_the_old_run_created() -> None:
    OLD.write_text(RUN.replace("{claim: runs}", "\n  create:\n    size: 1Gi   # little\n\n# next"))
    assert copy("--warm-start").exit_code == 0
    values = helm_yaml.load(NEW.read_text()).value
    assert (values["storage"], values["warmStartFrom"]) == ({"claim": "digits-41"}, "digits-41")
    assert "\n\n# next" in NEW.read_text()


def test_block_style_is_needed_only_where_something_changes() -> None:
    flow = f"{{chartVersion: {VERSION}, storage: {{claim: runs}}}}\n"
    OLD.write_text(flow)
    assert copy().exit_code == 0
    assert NEW.read_text() == flow
    done = copy("--warm-start", target="vision/digits-43")
    assert done.exit_code == 1
    assert "digits-41.yaml: can't change single keys of it" in done.stderr


@pytest.mark.parametrize(
    ("target", "source", "said"),
    [
        ("vision/../../x", "vision/digits-41", "but a run is named TEAM/RUN"),
        ("digits-42", "vision/digits-41", "but a run is named TEAM/RUN"),
        ("vision/digits-42", "vision/none", "jobs/vision/none.yaml: no such job file"),
        ("vision/digits-41", "vision/digits-41", "jobs/vision/digits-41.yaml: is there already: choose another name"),
        (f"vision/{41 * 'a'}", "vision/digits-41", "release name: got"),
    ],
)
def test_nothing_is_written_that_is_wrong(target: str, source: str, said: str) -> None:
    OLD.write_text(RUN)
    done = copy(target=target, source=source)
    assert done.exit_code == 1
    assert said in done.stderr
    assert [path.name for path in Path("jobs").rglob("*.*")] == ["digits-41.yaml"]
    assert OLD.read_text() == RUN


def test_another_team_can_not_resume() -> None:
    OLD.write_text(RUN)
    done = copy("--warm-start", target="speech/a")
    assert done.exit_code == 1
    assert "--warm-start: speech/a is of another team than vision/digits-41" in done.stderr


def test_a_copy_that_the_chart_refuses_is_not_written() -> None:
    OLD.write_text(RUN.replace("ps: {replicas: 2}", "ps: {replicas: 0}"))
    done = copy()
    assert done.exit_code == 1
    assert done.stderr.startswith("jobs/vision/digits-42.yaml:5:6: ps.replicas: got 0")
    assert not NEW.exists()


def test_a_copy_can_be_merged() -> None:
    OLD.write_text(RUN)
    copy("--warm-start")
    assert JobFile(NEW).problems() == []
