"""`tfd check` takes the chart of a file from the folder above that of its team."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tfd.cli import main

JOB = "storage: {claim: runs}\n"
BENCH = "storage: {claim: runs}\nidleAfter: 1h\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"jobs/vision/a.yaml": JOB, "workbenches/vision/a.yaml": BENCH}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def test_both_folders_are_checked_by_default(checkout: Path) -> None:
    done = check()
    assert (done.exit_code, done.stderr) == (0, "2 checked, 0 refused\n")


@pytest.mark.parametrize("path", ["workbenches", "workbenches/vision", "workbenches/vision/a.yaml"])
def test_workbench_file_has_the_keys_of_its_own_chart(checkout: Path, path: str) -> None:
    assert check(path).exit_code == 0
    (checkout / "workbenches/vision/a.yaml").write_text(f"{BENCH}gpus: 99\n")
    done = check(path)
    assert done.exit_code == 1
    assert done.stdout.startswith("workbenches/vision/a.yaml:3:1: gpus: got 99; expected 64 or less.")


def test_keys_of_one_kind_are_refused_in_the_other(checkout: Path) -> None:
    (checkout / "jobs/vision/a.yaml").write_text(BENCH)
    (checkout / "workbenches/vision/a.yaml").write_text(f"{JOB}trainer: {{steps: 1}}\n")
    done = check()
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "jobs/vision/a.yaml", "workbenches/vision/a.yaml"
    ]  # fmt: skip


def test_workbench_file_is_checked_inside_its_folder(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout / "workbenches" / "vision")
    assert check("a.yaml").exit_code == 0


def test_folder_without_files_names_the_folder_of_job_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = check()
    assert done.exit_code == 2
    assert done.stderr.startswith("jobs: got no job file;")
