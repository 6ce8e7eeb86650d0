"""`tfd plan`: what a run needs is asked for, each number has a source, and the estimates are those of the model."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.chart.rendering import ROOT
from tests.grammar import GRAMMAR
from tests.unit.review.repositories import VERSION
from tfd.cli import main
from tfd.planning.inputs import Job, Sources, make
from tfd.planning.model import Layout
from tfd.planning.options import NUMBERS, Given, Number, PlanError

HEAD = f"chartVersion: {VERSION}\nstorage: {{claim: runs}}\ntrainer: {{task: digits, steps: 9000, batchSize: 64}}\n"
MEMORY = "resources: {limits: {memory: 2Gi}}"
PS = f"{HEAD}strategy: ParameterServer\nps: {{replicas: 1}}\nworker: {{replicas: 16, gpus: 1, {MEMORY}}}\n"
RING = f"{HEAD}strategy: MultiWorkerMirrored\nworker: {{replicas: 4, gpus: 2, {MEMORY}}}\n"
ONE = f"{HEAD}strategy: OneDevice\n"
# 0.01 s per example, 100 MB and 10 Gbit/s, as in test_model.py.
SPEED = ("--device-step-seconds", "0.64")
NETWORK = ("--parameters", "25e6", "--bandwidth", "10", "--latency", "0")
ALL = (*SPEED, *NETWORK)
REPORT = {
    "task": "digits", "batchSize": 32, "replicas": 1, "precision": "float32", "jitCompile": False,
    "trainableParameters": 25_000_000, "tables": {}, "secondsPerStep": 0.32,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("team").mkdir()


def plan(text: str, *options: str, stdin: str | None = None) -> Result:
    Path("team/little.yaml").write_text(text)
    return CliRunner().invoke(main, ["plan", "team/little.yaml", *options], input=stdin, catch_exceptions=False)


def planned(text: str, *options: str, stdin: str | None = None) -> dict[str, Any]:
    """Return the JSON of a plan that is estimated."""
    done = plan(text, *options, "--json", stdin=stdin)
    assert done.exit_code == 0, done.stderr
    return dict(json.loads(done.stdout))


def refused(text: str, *options: str, stdin: str | None = None) -> str:
    """Return the refusals of a plan, one per line."""
    done = plan(text, *options, stdin=stdin)
    assert (done.exit_code, done.stdout) == (1, "")
    assert all(GRAMMAR.fullmatch(line) for line in done.stderr.splitlines()), done.stderr
    return done.stderr


def seconds(report: dict[str, Any]) -> dict[int, float]:
    """Return the seconds of a step by the number of workers."""
    return {each["workers"]: each["stepSeconds"] for each in report["estimates"]}


def source(report: dict[str, Any], name: str) -> str:
    """Return the source of an assumption."""
    [found] = [each["source"] for each in report["assumptions"] if each["name"] == name]
    return str(found)


def measured(
    name: str, batch: int, rate: float | None, *, strategy: str = "OneDevice", **trainer: Any
) -> tuple[str, ...]:
    """Write a run directory, and return the option that names it."""
    settings = {"task": "digits", "precision": "float32", "jitCompile": False, "batchSize": batch, **trainer}
    Path(name).mkdir()
    Path(name, "run.json").write_text(json.dumps({"identity": {"strategy": strategy, "trainer": settings}}))
    Path(name, "status.json").write_text(json.dumps({"stepsPerSecond": rate}))
    return "--measured", name


def test_everything_that_is_unknown_is_asked_for_at_once() -> None:
    lines = refused(PS).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["--device-step-seconds", "--parameters", "--bandwidth"]
    assert all(": got nothing; expected " in line for line in lines)


def test_estimates_of_a_parameter_server_run_are_those_of_the_model() -> None:
    found = planned(PS, *ALL)
    assert list(seconds(found)) == list(range(1, 17))
    assert seconds(found)[8] == pytest.approx(0.1)
    last = found["estimates"][-1]
    assert last["stepSeconds"] == pytest.approx(0.08)
    assert last["bottleneck"] == "ps"
    assert last["psNeeded"] == 2
    assert last["examplesPerSecond"] == pytest.approx(800)
    assert last["seconds"] == pytest.approx(720)
    assert last["gpuHours"] == pytest.approx(16 * 0.2)
    assert (found["workers"], found["best"]) == (16, 10)


def test_replicas_of_a_ring_are_all_gpus_of_all_workers() -> None:
    found = planned(RING, *ALL)
    # The replicas of 3, 5, 6 and 7 workers cannot share 64 examples.
    assert (list(seconds(found)), found["leftOut"]) == ([1, 2, 4, 8], [3, 5, 6, 7])
    assert seconds(found)[2] == pytest.approx(0.28)
    assert found["estimates"][1]["gpuHours"] == pytest.approx(4 * 0.7)
    assert found["estimates"][1]["psNeeded"] is None


def test_elastic_run_is_planned_for_its_range_and_for_numbers_that_share_the_batch_unequally() -> None:
    elastic = RING.replace("replicas: 4", "replicas: 3, minReplicas: 1")
    found = planned(elastic, *ALL)
    assert (list(seconds(found)), found["leftOut"]) == (list(range(1, 9)), [])
    assert (found["workers"], found["minWorkers"]) == (3, 1)
    # 64 examples on 6 replicas: some have 11, for 0.11 s each. The ring sends 10/6 of 100 MB at 1.25 GB/s.
    assert seconds(found)[3] == pytest.approx(0.11 + 10 / 6 * 0.08)
    lines = plan(elastic, *ALL).stdout.splitlines()
    assert [line.rpartition("(")[2] for line in lines if line.endswith(("(job file)", "(minReplicas)"))] == [
        "minReplicas)",
        "job file)",
    ]
    assert any(line.startswith("The run has 1 to 3 workers. The time to the last step is ") for line in lines)


def test_elastic_run_has_an_example_for_each_replica() -> None:
    elastic = RING.replace("replicas: 4", "replicas: 30, minReplicas: 20")
    found = planned(elastic, *ALL, "--workers", "40")
    assert found["leftOut"] == [40]
    assert set(seconds(found)) == {1, 2, 4, 8, 16, 20, 30, 32}


def test_fixed_run_has_no_range() -> None:
    assert planned(RING, *ALL)["minWorkers"] is None
    assert "The run has" not in plan(RING, *ALL).stdout


def test_mirrored_run_is_compared_by_its_gpus() -> None:
    found = planned(f"{HEAD}strategy: Mirrored\nchief: {{gpus: 4, {MEMORY}}}\nevaluator: {{replicas: 1}}\n", *ALL)
    assert found["workers"] == 4
    assert seconds(found)[4] == pytest.approx(0.28)
    assert found["estimates"][2]["gpuHours"] == pytest.approx(4 * 0.7)


def test_one_device_needs_no_network() -> None:
    found = planned(ONE, *SPEED)
    assert seconds(found) == {1: pytest.approx(0.64)}
    assert {each["name"] for each in found["assumptions"]}.isdisjoint({"--bandwidth", "--overlap"})


def test_speed_is_fitted_to_measured_runs() -> None:
    small, large = measured("small", 32, 1 / 0.42), measured("large", 64, 1 / 0.74)
    found = planned(ONE, *small, *large)
    values = {each["name"]: each["value"] for each in found["assumptions"]}
    assert values["fixed part of a step"] == pytest.approx(0.1)
    assert source(found, "step of one device, batch 64") == "large/status.json"
    assert seconds(found)[1] == pytest.approx(0.74)


def test_mean_rate_of_a_finished_run_goes_before_its_last_one() -> None:
    option = measured("run", 64, 9.0)
    Path("run/DONE").write_text('{"stepsPerSecond": 2.0}')
    assert seconds(planned(ONE, *option))[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"strategy": "Mirrored"}, 'got strategy "Mirrored"'),
        ({"task": "recommender"}, 'got trainer.task "recommender"'),
        ({"precision": "mixed_bfloat16"}, 'got trainer.precision "mixed_bfloat16"'),
        ({"jitCompile": True}, "got trainer.jitCompile true"),
        ({"rate": None}, "got no rate"),
        ({"rate": 0}, "got no rate"),
        ({"rate": -1}, "got no rate"),
        ({"rate": 1e-320}, "got no rate"),
        ({"rate": 1e308}, "got no rate"),
        ({"batchSize": 1e308}, "got no rate"),
        ({"batchSize": "many"}, "got no rate"),
    ],
)
def test_run_that_does_not_show_the_speed_is_refused(fault: dict[str, Any], words: str) -> None:
    option = measured("run", 64, fault.pop("rate", 2.0), **fault)
    assert words in refused(ONE, *option)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"identity": 3}', '{"identity": {"strategy": "OneDevice"}}'])
def test_folder_without_a_run_is_refused(text: str) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text(text)
    assert "got no run.json of a run" in refused(ONE, "--measured", "run")


def test_report_of_the_trainer_has_parameters_and_speed() -> None:
    found = planned(PS, "--check", "-", "--bandwidth", "10", "--latency", "0", stdin=json.dumps(REPORT))
    assert seconds(found)[8] == pytest.approx(0.1)
    Path("check.json").write_text(json.dumps(REPORT))
    assert source(planned(PS, "--check", "check.json", "--bandwidth", "10"), "trainable parameters") == "check.json"


@pytest.mark.parametrize(
    "other", [{"precision": "mixed_float16"}, {"jitCompile": True}, {"replicas": 2}, {"secondsPerStep": None}]
)
def test_report_of_other_settings_gives_no_speed(other: dict[str, Any]) -> None:
    message = refused(PS, "--check", "-", "--bandwidth", "10", stdin=json.dumps(REPORT | other))
    assert message.startswith("--device-step-seconds: got ")
    assert planned(PS, "--check", "-", "--bandwidth", "10", *SPEED, stdin=json.dumps(REPORT | other))


def test_bytes_of_embedding_tables_are_asked_for() -> None:
    report = json.dumps(REPORT | {"tables": {"users": [1000, 16]}})
    assert "--bytes-per-step: got embedding tables (users)" in refused(
        PS, "--check", "-", "--bandwidth", "10", stdin=report
    )
    found = planned(PS, "--check", "-", "--bandwidth", "10", "--latency", "0", "--bytes-per-step", "1e8", stdin=report)
    assert seconds(found)[8] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        json.dumps(REPORT | {"trainableParameters": -1}),
        json.dumps(REPORT | {"task": "other"}),
        json.dumps({"error": "task: got nothing", "exitCode": 2}),
        "[" * 100_000,
    ],
    ids=range(8),
)
def test_other_text_than_a_report_of_this_task_is_refused(text: str) -> None:
    assert refused(PS, "--check", "-", stdin=text).startswith("--check -: got ")


@pytest.mark.parametrize("number", NUMBERS, ids=lambda each: each.name)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300])
def test_number_outside_its_limits_is_refused(number: Number, value: float) -> None:
    layout = Layout(strategy="ParameterServer", batch=64, steps=9000)
    job = Job(run="little", trainer={}, layout=layout, workers=2)
    numbers = {"device_step_seconds": 0.64, "parameters": 25e6, "bandwidth": 10.0, "cores": 2.0}
    make(job, Given(numbers), Sources())
    with pytest.raises(PlanError) as refusal:
        make(job, Given(numbers | {number.field: value}), Sources())
    assert str(refusal.value).startswith(f"{number.name}: got ")
    assert GRAMMAR.fullmatch(str(refusal.value))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device-batch", "8"), "--device-step-seconds: got --device-batch without it"),
        ((*ALL, "--device-cores", "2"), "--cores: got --device-cores without it"),
        ((*ALL, "--cores", "2", "--device-cores", "3"), "--device-cores: got 3; expected at most the 2 cores"),
        ((*ALL, "--fixed-seconds", "0.7"), "--fixed-seconds: got 0.7; expected at most the step of 0.64 s"),
        ((*ALL, "--workers", "2.5"), "--workers: got 2.5; expected a whole number"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: tuple[str, ...], words: str) -> None:
    assert words in refused(PS, *options)


def test_speed_is_given_once() -> None:
    option = measured("run", 64, 2.0)
    assert "--device-step-seconds: got --measured as well" in refused(ONE, *SPEED, *option)


def test_fixed_part_and_batch_of_the_step_are_options() -> None:
    found = planned(ONE, "--device-step-seconds", "0.42", "--device-batch", "32", "--fixed-seconds", "0.1")
    assert seconds(found)[1] == pytest.approx(0.74)


def test_tasks_of_one_machine_share_its_cores() -> None:
    found = planned(PS, *ALL, "--cores", "2", "--device-cores", "1", "--workers", "4")
    assert seconds(found)[4] == pytest.approx(0.48)
    assert found["estimates"][3]["bottleneck"] == "cores"
    assert found["estimates"][3]["psNeeded"] is None


def test_large_numbers_of_workers_are_powers_of_two() -> None:
    assert list(seconds(planned(PS, *ALL, "--workers", "100"))) == [1, 2, 4, 8, 16, 32, 64, 100]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}strategy: OneDevice\ncommand: [python, train.py]\n", 'command: got ["python", "train.py"]'),
        (f"{HEAD}strategy: OneDevice\nargs: [--, train.py]\n", 'args: got ["--", "train.py"]'),
        (f"{ONE}state: archived\n", "got no Kubernetes Job"),
        (
            RING.replace("replicas: 4", "replicas: 3"),
            "trainer.batchSize: got 64; expected a multiple of 6",
        ),
        (f"{ONE}worker: {{replicas: 2}}\n", "worker.replicas: got 2"),
    ],
)
def test_job_file_that_is_not_planned_is_refused(text: str, words: str) -> None:
    assert words in refused(text, *ALL)


def test_options_of_the_trainer_are_not_a_custom_program() -> None:
    assert planned(f"{ONE}args: [--log-format, json]\n", *SPEED)["best"] == 1


def test_suspended_run_is_planned() -> None:
    assert planned(f"{PS}state: suspended\n", *ALL)["best"] == 10


def test_report_shows_the_best_number_its_limit_and_every_assumption() -> None:
    done = plan(PS, *ALL)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "little: ParameterServer, 1 ps, batch size 64, 9,000 steps"
    assert [line for line in lines if line.startswith("Best")] == [
        "Best: 10 workers, the fastest with an efficiency of 50% or more. The limit is: computation."
    ]
    assert "The 16 workers of the job file need 2 ps. Set ps.replicas: 2." in lines
    for each in planned(PS, *ALL)["assumptions"]:
        assert any(line.split("  ")[0].strip() == each["name"] and line.endswith(each["source"]) for line in lines)


def test_page_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs/guides/scaling.md").read_text()
    for path, text in re.findall(r"```yaml\n# (jobs/\S+)\n(.*?)```", page, flags=re.S):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    shown = re.findall(r"```console\n\$ tfd ([^\n]*)\n(.*?)```", page, flags=re.S)
    assert len(shown) == 2
    for words, output in shown:
        done = CliRunner().invoke(main, words.split(), catch_exceptions=False)
        assert done.stdout == output


def test_page_lists_every_number_with_its_default() -> None:
    page = (ROOT / "docs/guides/scaling.md").read_text()
    assert [each.name for each in NUMBERS if f"`{each.name}`" not in page] == []
    for each in NUMBERS:
        if each.default is not None:
            assert f"| `{each.name}` | {each.default:g} | {each.reason[:1].upper()}{each.reason[1:]}. |" in page


def test_enough_ps_are_named_as_such() -> None:
    done = plan(PS.replace("replicas: 1}", "replicas: 3}"), *ALL)
    assert "The 16 workers of the job file need 2 ps. The job file has 3." in done.stdout


def test_numbers_of_workers_that_cannot_share_the_batch_are_named() -> None:
    assert "Left out: 3, 5, 6, 7 workers, whose replicas cannot share a batch of 64." in plan(RING, *ALL).stdout
