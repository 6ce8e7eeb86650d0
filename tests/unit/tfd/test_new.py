"""`tfd new` copies a job file as text: comments stay, and a copy that would be refused is not written."""

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.review.repositories import RUN, VERSION
from tfd.assets import EXAMPLES
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
    assert (done.exit_code, done.stdout) == (0, f"{NEW}: written. Edit it, run `tfd check {NEW}` and commit it.\n")
    assert NEW.read_text() == RUN
    assert {path.name for path in OLD.parent.iterdir()} == {"digits-41.yaml", "digits-42.yaml"}


def test_copy_keeps_comments_and_loses_the_state() -> None:
    OLD.write_text(f"{RUN}# done\nstate: archived   # in May\n\n# who\nowner: Ada\n")
    assert copy().exit_code == 0
    assert NEW.read_text() == f"{RUN}# done\n\n# who\nowner: Ada\n"


def test_copy_names_the_current_chart_version() -> None:
    OLD.write_text(RUN.replace(f"chartVersion: {VERSION}", "chartVersion: 0.0.1   # the first"))
    assert copy().exit_code == 0
    assert NEW.read_text() == RUN.replace(f"chartVersion: {VERSION}", f"chartVersion: {VERSION}   # the first")


def test_missing_chart_version_is_added_first() -> None:
    OLD.write_text("# A run.\nstorage: {claim: runs}\n")
    assert copy().exit_code == 0
    assert NEW.read_text() == f"# A run.\nchartVersion: {VERSION}\nstorage: {{claim: runs}}\n"


@pytest.mark.parametrize("before", ["", "warmStartFrom: digits-40\n"])
def test_warm_start_names_the_old_run(before: str) -> None:
    OLD.write_text(f"{RUN}{before}")
    assert copy("--warm-start").exit_code == 0
    assert NEW.read_text() == f"{RUN}warmStartFrom: digits-41\n"


def test_warm_start_uses_the_claim_that_the_old_run_created() -> None:
    OLD.write_text(RUN.replace("{claim: runs}", "\n  create:\n    size: 1Gi   # little\n\n# next"))
    assert copy("--warm-start").exit_code == 0
    values = helm_yaml.load(NEW.read_text()).value
    assert (values["storage"], values["warmStartFrom"]) == ({"claim": "digits-41-storage"}, "digits-41")
    assert "\n\n# next" in NEW.read_text()


def test_flow_style_is_refused_only_where_a_key_changes() -> None:
    flow = f"{{chartVersion: {VERSION}, storage: {{claim: runs}}}}\n"
    OLD.write_text(flow)
    assert copy().exit_code == 0
    assert NEW.read_text() == flow
    done = copy("--warm-start", target="vision/digits-43")
    assert done.exit_code == 1
    assert "digits-41.yaml: file: got several top-level keys on one line; expected one key a line. " in done.stderr


@pytest.mark.parametrize(
    ("target", "source", "refusal"),
    [
        (
            "vision/../../x",
            "vision/digits-41",
            "; expected TEAM/RUN with lower-case letters, digits and -, each of at most 63 characters. Name the run as",
        ),
        (
            "digits-42",
            "vision/digits-41",
            "; expected TEAM/RUN with lower-case letters, digits and -, each of at most 63 characters. Name the run as",
        ),
        ("vision/digits-42", "vision/none", "jobs/vision/none.yaml: got no file; expected a job file. "),
        (
            "vision/digits-41",
            "vision/digits-41",
            "jobs/vision/digits-41.yaml: got an existing file; expected a new run. Choose another name.",
        ),
        (f"vision/{41 * 'a'}", "vision/digits-41", "release name: got"),
        (f"vision/{300 * 'a'}", "vision/digits-41", "each of at most 63 characters"),
        (f"{300 * 'a'}/digits-42", "vision/digits-41", "each of at most 63 characters"),
        ("vision/digits-42", f"vision/{300 * 'a'}", "each of at most 63 characters"),
    ],
)
def test_refused_copy_writes_no_file(target: str, source: str, refusal: str) -> None:
    OLD.write_text(RUN)
    done = copy(target=target, source=source)
    assert done.exit_code == 1
    assert refusal in done.stderr
    assert [path.name for path in Path("jobs").rglob("*.*")] == ["digits-41.yaml"]
    assert OLD.read_text() == RUN


def test_warm_start_from_another_team_is_refused() -> None:
    OLD.write_text(RUN)
    done = copy("--warm-start", target="speech/a")
    assert done.exit_code == 1
    assert "--warm-start: got a run of team vision; expected a run of the same team. " in done.stderr


def test_warm_start_from_a_run_whose_name_is_a_boolean_of_yaml() -> None:
    OLD.with_stem("on").write_text(RUN)
    assert copy("--warm-start", source="vision/on").exit_code == 0
    assert NEW.read_text() == f'{RUN}warmStartFrom: "on"\n'


def test_copy_of_a_file_in_another_encoding_is_refused() -> None:
    OLD.write_bytes(f"{RUN}# \xe9\n".encode("latin-1"))
    done = copy()
    assert done.exit_code == 1
    assert f"{OLD}: got invalid UTF-8 (" in done.stderr


def test_a_full_disk_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    OLD.write_text(RUN)
    link, links = os.link, iter([None, OSError(errno.ENOSPC, "No space left on device")])

    def full(draft: Path, path: Path) -> None:
        if error := next(links):
            raise error
        link(draft, path)

    monkeypatch.setattr(os, "link", full)
    done = copy("--grid", "trainer.seed=1,2")
    failed = OLD.with_name("digits-42-seed-2.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{failed}: got No space left on device; expected a file to write. ")
    assert [path.name for path in OLD.parent.iterdir()] == [OLD.name]


def test_copy_that_the_chart_refuses_is_not_written() -> None:
    OLD.write_text(RUN.replace("ps: {replicas: 2}", "ps: {replicas: 0}"))
    done = copy()
    assert done.exit_code == 1
    assert done.stderr.startswith("jobs/vision/digits-42.yaml:5:6: ps.replicas: got 0; ")
    assert not NEW.exists()


def test_warm_start_copy_is_valid() -> None:
    OLD.write_text(RUN)
    copy("--warm-start")
    assert JobFile(NEW).problems() == []


def test_example_comes_from_the_package_where_the_checkout_has_none() -> None:
    assert copy(source="examples/digits-one-device").exit_code == 0
    example = helm_yaml.load((EXAMPLES / "digits-one-device.yaml").read_text()).value
    assert helm_yaml.load(NEW.read_text()).value == example


GRID = RUN.replace("trainer:\n", "trainer:   # the task\n  batchSize: 64   # all replicas\n")


def test_each_point_of_a_grid_is_a_file_that_says_its_values() -> None:
    OLD.write_text(GRID)
    options = ("--grid", "trainer.batchSize=32,128", "--grid", "trainer.hyperparameters.learning_rate=1e-3, 0.01")
    done = copy(*options, target="vision/d")
    assert done.exit_code == 0, done.stderr
    read = {path.stem: helm_yaml.load(path.read_text()).value["trainer"] for path in OLD.parent.glob("d-*")}
    written = {name: {key: each[key] for key in ("batchSize", "hyperparameters")} for name, each in read.items()}
    assert written == {
        f"d-batch-size-{size}-learning-rate-{name}": {"batchSize": size, "hyperparameters": {"learning_rate": rate}}
        for size in (32, 128)
        for name, rate in (("1e-3", 0.001), ("0-01", 0.01))
    }
    text = (OLD.parent / "d-batch-size-32-learning-rate-1e-3.yaml").read_text()
    assert text == GRID.replace("Size: 64", "Size: 32")
    assert done.stdout.endswith("4 runs. Run `tfd check jobs/vision` and commit the files.\n")


def test_long_names_of_a_grid_have_initials() -> None:
    OLD.write_text(RUN)
    done = copy("--grid", "trainer.batchSize=32", "--grid", "trainer.checkpointEvery=1", target="vision/digits-of-may")
    assert done.exit_code == 0, done.stderr
    assert (OLD.parent / "digits-of-may-bs-32-ce-1.yaml").exists()


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (["trainer.seed"], '--grid: got "trainer.seed"; expected KEY=VALUE,VALUE,...'),
        (["trainer.seed=1,,2"], '--grid: got "trainer.seed=1,,2"; expected KEY=VALUE,VALUE,...'),
        (["trainer.seed=[1"], '--grid: got "[1"; expected one number, word or quoted text.'),
        (["trainer.seed={a: 1}"], "expected one number, word or quoted text."),
        (["trainer.seed=1", "trainer.seed=2"], "--grid: got trainer.seed twice; expected each key once."),
        (["trainer.seed=a #b"], '--grid: got "a #b"; expected one number, word or quoted text.'),
        (["trainer.seed=a}"], '--grid: got "a}"; expected one number, word or quoted text.'),
        (["trainer.seed=1,1"], '--grid: got the equal values "1" and "1"; expected each value once.'),
        (["trainer.seed=1e-4,2,0.0001"], '--grid: got the equal values "1e-4" and "0.0001";'),
        (["trainer.seed=yes,true"], '--grid: got the equal values "yes" and "true";'),
        (["trainer.hyperparameters.a=0.1,0-1"], "run: got digits-42-a-0-1 for two points"),
        ([f"trainer.seed={','.join(map(str, range(201)))}"], "got more than 200 points; expected at most 200."),
        (["trainer.hyperparameters.a=" + 40 * "x"], "expected at most 40 characters. Choose a shorter RUN."),
        (["trainer.sed=1"], "trainer.sed: got an unknown key; expected trainer.seed."),
        (["storage.claim.x=1"], "storage.claim.x: got a place in a list, an alias, a scalar or"),
        (["env.a=1"], "env.a: got a place in a list"),
    ],
)
def test_a_wrong_grid_writes_nothing(options: list[str], refusal: str) -> None:
    OLD.write_text(f"{RUN}env: [{{name: A, value: x}}]\n")
    done = copy(*(word for each in options for word in ("--grid", each)))
    assert done.exit_code == 1
    assert refusal in done.stderr
    assert [path.name for path in OLD.parent.iterdir()] == [OLD.name]


def test_an_existing_point_is_kept_and_the_others_are_not_written() -> None:
    OLD.write_text(RUN)
    kept = OLD.parent / "digits-42-seed-2.yaml"
    kept.write_text("mine")
    done = copy("--grid", "trainer.seed=1,2,3")
    assert (done.exit_code, kept.read_text()) == (1, "mine")
    assert f"{kept}: got an existing file; expected a new run." in done.stderr
    assert {path.name for path in OLD.parent.iterdir()} == {OLD.name, kept.name}
