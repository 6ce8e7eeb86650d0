"""`tfd compare`: the settings in which runs differ, and their results."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.unit.tfd.fake_api import Api
from tests.unit.tfd.fake_cluster import record
from tests.unit.tfd.test_runs import done
from tests.unit.tfd.test_terminal import HOSTILE, assert_harmless
from tfd.cli import main


def compare(*words: str) -> Result:
    return CliRunner().invoke(main, ["compare", *words], catch_exceptions=False)


def identity(rate: Any, batch: int = 64, **more: Any) -> dict[str, Any]:
    trainer = {"batchSize": batch, "seed": 0, "hyperparameters": {"learning_rate": rate}}
    return {"identity": {"strategy": "OneDevice", "replicas": {"chief": 1}, "trainer": trainer, **more}}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder with three runs: done, running and just started."""
    for name, rate, file in (
        ("d-1", 0.1, ("DONE", {"step": 600, "metrics": {"accuracy": 0.9, "auc": None}})),
        ("d-2", 0.001, ("status.json", {"state": "running", "step": 20, "metrics": {"accuracy": 0.95}, "loss": 1.5})),
        ("e-3", 0.01, ("status.json", {"state": "starting", "step": None, "metrics": None, "loss": 2.5})),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(identity(rate)))
        (tmp_path / name / file[0]).write_text(json.dumps(file[1]))
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "d-1")
    return tmp_path


def test_only_settings_that_differ_are_shown(runs: Path) -> None:
    lines = compare("--from", str(runs)).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["RUN", "STATE", "STEP", "learning_rate", "accuracy", "auc", "loss"],
        ["d-1", "done", "600", "0.1", "0.9", "not", "a", "number"],
        ["d-2", "running", "20", "0.001", "0.95"],
        ["e-3", "starting", "0.01", "2.5"],
    ]


def test_many_settings_have_a_line_each_and_no_number_is_cut(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfd.commands.compare.console", lambda: Console(width=60))
    for run, start in (("d-1", 1), ("d-2", 2)):
        settings = {f"option{n}": start / (n + 7) for n in range(20)}
        (runs / run / "run.json").write_text(json.dumps(identity(settings)))
    lines = compare("--from", str(runs), "d-*").stdout.splitlines()
    assert lines[0].split() == ["RUN", "d-1", "d-2"]
    assert ["learning_rate.option19", str(1 / 26), str(2 / 26)] in [line.split() for line in lines]
    many = [str(runs / f"f-{n}") for n in range(40)]
    for run in many:
        shutil.copytree(runs / "d-1", run)
    [line, *_] = [line for line in compare("--from", str(runs)).stdout.splitlines() if line.startswith("d-2 ")]
    assert str(2 / 26) in line.split()


def test_json_has_the_numbers(runs: Path) -> None:
    found = json.loads(compare("--from", str(runs), "d-*", "--json").stdout)
    assert found["settings"] == ["trainer.hyperparameters.learning_rate"]
    assert found["runs"][0] == {
        "team": None, "run": "d-1", "state": "done", "step": 600,
        "settings": {"trainer.hyperparameters.learning_rate": 0.1}, "results": {"accuracy": 0.9, "auc": None},
    }  # fmt: skip
    assert [each["run"] for each in found["runs"]] == ["d-1", "d-2"]


@pytest.mark.parametrize(
    ("options", "order"), [(["accuracy"], "d-2 d-1 e-3"), (["accuracy", "--ascending"], "d-1 d-2 e-3")]
)
def test_order_of_a_result(runs: Path, options: list[str], order: str) -> None:
    found = json.loads(compare("--from", str(runs), "--json", "--sort", *options).stdout)
    assert " ".join(each["run"] for each in found["runs"]) == order


def test_plot_has_the_result_over_each_setting(runs: Path) -> None:
    shown = compare("--from", str(runs), "--plot").stdout
    assert "accuracy over learning_rate" in shown
    assert shown.count("o") - shown[: shown.index("accuracy over")].count("o") >= 2
    assert "1e-03" in shown or "0.001" in shown


@pytest.mark.parametrize(
    ("rate", "result"), [(1e308, 0.5), (-1e308, 0.5), (0.5, 1e308), (0.5, -1e308), (0.5, 10**308), (5e-324, 5e-324)]
)
def test_plot_of_numbers_at_the_ends_of_floats(runs: Path, rate: float, result: float) -> None:
    (runs / "d-1" / "run.json").write_text(json.dumps(identity(rate)))
    (runs / "d-1" / "DONE").write_text(json.dumps({"step": 1, "metrics": {"accuracy": result}}))
    (runs / "d-2" / "run.json").write_text(json.dumps(identity(-rate)))
    (runs / "d-2" / "status.json").write_text(json.dumps({"metrics": {"accuracy": -result}}))
    ended = compare("--from", str(runs), "--plot")
    assert ended.exit_code == 0
    assert "accuracy over learning_rate" in ended.stdout


def test_plot_of_words_and_of_equal_runs(runs: Path) -> None:
    (runs / "d-1" / "run.json").write_text(json.dumps(identity("high")))
    assert "high" in compare("--from", str(runs), "--plot").stdout
    assert "nothing to plot" in compare("--from", str(runs), "d-1", "--plot").stdout


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["x-*"], 'RUN: got "x-*"; expected the name of a run in'),
        (["--sort", "f1"], '--sort: got "f1"; expected one of accuracy, auc, loss.'),
    ],
)
def test_what_does_not_exist_is_named(runs: Path, words: list[str], refused: str) -> None:
    ended = compare("--from", str(runs), *words)
    assert ended.exit_code == 1
    assert refused in ended.stderr


def test_nothing_to_compare() -> None:
    assert compare().exit_code == 2
    ended = compare("--from", "/nowhere")
    assert (ended.exit_code, ended.stderr[:22]) == (1, '--from: got "/nowhere"')


def test_files_of_other_programs_are_harmless(runs: Path) -> None:
    (runs / "d-1" / "run.json").write_text(json.dumps(identity(HOSTILE, more={"é": [HOSTILE, None, {}]})))
    (runs / "d-2" / "DONE").write_text(json.dumps({"metrics": {HOSTILE: 1.0}, "step": "x"}))
    (runs / "e-3" / "run.json").write_text("[]")
    ended = compare("--from", str(runs), "--plot")
    assert ended.exit_code == 0
    assert_harmless(ended.stdout)


@pytest.mark.parametrize(("name", "value"), [("step", 1e308), ("state", 1000 * "x")])
def test_a_run_does_not_hide_the_others(runs: Path, name: str, value: Any) -> None:
    (runs / "d-2" / "status.json").write_text(json.dumps({"state": "running", "step": 20, name: value}))
    words = [line.split()[:3] for line in compare("--from", str(runs)).stdout.splitlines()]
    assert words[:2] == [["RUN", "STATE", "STEP"], ["d-1", "done", "600"]]
    assert words[2][0] == "d-2"


def test_runs_of_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    api = Api(tmp_path)
    for name, seed in (("a-1", 1), ("a-2", 2), ("b-1", 3)):
        objects = done({"accuracy": seed / 10})
        objects[0] = record("OneDevice", ps=0, worker=0)
        known = json.loads(objects[0]["data"]["run.json"])
        known["identity"]["trainer"] = {"seed": seed}
        objects[0]["data"]["run.json"] = json.dumps(known)
        api.add(name, *objects)
    api.runs()
    for pattern in "a-*", "vision/a-*":
        found = json.loads(compare(pattern, "--json").stdout)
        assert [(each["team"], each["run"], each["results"]) for each in found["runs"]] == [
            ("vision", "a-1", {"accuracy": 0.1}),
            ("vision", "a-2", {"accuracy": 0.2}),
        ]
        assert found["settings"] == ["trainer.seed"]
    assert compare("speech/*").exit_code == 1
