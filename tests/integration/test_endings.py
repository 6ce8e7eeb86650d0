"""How runs end, and which part of them: SIGTERM one by one, orphaned, out of restarts, early."""

import itertools
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.integration.conftest import Recovered
from tests.integration.faults import ends_well, job, log_shows, resumes_training, starts, step_after, trains
from tests.integration.local_run import LocalRun, gone

pytestmark = pytest.mark.processes


@pytest.mark.slow
def test_each_parameter_server_role_may_receive_sigterm_alone(local_run: LocalRun, recovered: Recovered) -> None:
    steps = 1500
    local_run.write(job("ParameterServer", steps, every=500, evaluator="{replicas: 1}"))
    local_run.start("--plain")
    step_after(local_run, 20)

    began = time.monotonic()
    local_run.kill("chief-0", signal.SIGTERM)
    log_shows(local_run, "chief-0", "exit 143: received SIGTERM; saved checkpoint")
    recovered("chief", "term-saved", time.monotonic() - began)
    recovered("chief", "term", resumes_training(local_run, "chief-0", 1) - began)
    assert starts(local_run, "chief-0")[1] == local_run.saved_step() > 0, "not a step is lost"

    step_after(local_run, local_run.status()["step"])
    began = time.monotonic()
    local_run.kill("worker-0", signal.SIGTERM)
    log_shows(local_run, "worker-0", "exit 143")
    recovered("worker", "term-left", time.monotonic() - began)
    log_shows(local_run, "chief-0", "worker-0 was released")
    log_shows(local_run, "worker-0", "serving on", 2)
    assert len(starts(local_run, "chief-0")) == 2, "the other worker trains on"

    began = time.monotonic()
    local_run.kill("ps-0", signal.SIGTERM)
    log_shows(local_run, "ps-0", "exit 143")
    recovered("ps", "term-left", time.monotonic() - began)
    recovered("ps", "term", resumes_training(local_run, "chief-0", 2) - began)
    [saved] = re.findall(r"ps-0 received SIGTERM; saved checkpoint (\d+)", local_run.log("chief-0"))
    assert starts(local_run, "chief-0")[2] == int(saved) > starts(local_run, "chief-0")[1], "not a step is lost"

    local_run.kill("evaluator-0", signal.SIGTERM)
    log_shows(local_run, "evaluator-0", "exit 143")
    ends_well(local_run, steps, overshoot=1)
    assert local_run.tasks()["evaluator-0"]["exitCode"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["worker-0", "worker-1"])
def test_multi_worker_mirrored_saves_one_step_when_one_worker_receives_sigterm(
    local_run: LocalRun, recovered: Recovered, worker: str
) -> None:
    steps = 700
    local_run.write(job("MultiWorkerMirrored", steps, every=500))
    local_run.start("--plain")
    step_after(local_run, 20)
    began = time.monotonic()
    local_run.kill(worker, signal.SIGTERM)
    for task in ("worker-0", "worker-1"):
        log_shows(local_run, task, "received SIGTERM: saved checkpoint")
    recovered(worker, "term-saved", time.monotonic() - began)
    for task in ("worker-0", "worker-1"):
        resumes_training(local_run, task, 1)
    recovered(worker, "term", time.monotonic() - began)
    [first], [second] = ([*set(starts(local_run, task)[1:])] for task in ("worker-0", "worker-1"))
    assert first == second == local_run.saved_step() > 0
    attempts = {task: known["attempts"] for task, known in local_run.tasks().items()}
    assert attempts == {"worker-0": 1, "worker-1": 1} | {worker: 2}, "only the one that was told ends"
    ends_well(local_run, steps)


@pytest.mark.slow
def test_orphans_exit_with_76(local_run: LocalRun, recovered: Recovered) -> None:
    local_run.write(
        job("ParameterServer", 5000, evaluator="{replicas: 1}", failure="{orphanTimeout: 15s, startTimeout: 15s}")
    )
    process = local_run.start("--plain")
    trains(local_run)
    pids = {task: local_run.pid(task) for task in local_run.tasks()}
    # Nobody may start the chief again.
    os.kill(process.pid, signal.SIGSTOP)
    os.kill(pids["chief-0"], signal.SIGKILL)
    began = time.monotonic()
    for task in ("ps-0", "worker-0", "worker-1", "evaluator-0"):
        local_run.wait_for(lambda task=task: gone(pids[task]), f"the end of {task}")
        recovered(task.split("-")[0], "orphan-left", time.monotonic() - began)
        assert "exit 76" in local_run.log(task)
    os.kill(process.pid, signal.SIGCONT)
    assert local_run.finish()[0] == 76


@pytest.mark.slow
def test_lost_worker_does_not_restart_training(local_run: LocalRun, recovered: Recovered) -> None:
    steps = 1500
    trainer = "task: digits, steps: {steps}, checkpointEvery: 5000, summaryEvery: 5"
    local_run.write(
        f"strategy: ParameterServer\ntrainer: {{{trainer.format(steps=steps)}}}\nstorage: {{claim: runs}}\n"
    )
    local_run.start("--plain")
    step_after(local_run, 300)
    killed = time.time()
    local_run.kill("worker-1")
    step_after(local_run, local_run.status()["step"] + 200)
    events = EventAccumulator(str(local_run.run_dir / "logs" / "train"), size_guidance={"tensors": 0})
    events.Reload()
    times = [event.wall_time for event in events.Tensors("loss")]
    gaps = [b - a for a, b in itertools.pairwise(times) if b > killed]
    usual = sorted(b - a for a, b in itertools.pairwise(times) if b < killed)
    recovered("worker", "kill-pause", max(gaps) - usual[len(usual) // 2])
    assert len(starts(local_run, "chief-0")) == 1, "training must continue without the killed worker"


@pytest.mark.slow
def test_exhausted_in_place_restarts_end_with_75(local_run: LocalRun) -> None:
    local_run.write(job("ParameterServer", 5000, retries="0", failure="{maxInPlaceRestarts: 0}"))
    local_run.start("--plain")
    trains(local_run)
    local_run.kill("ps-0")
    code, out, err = local_run.finish()
    assert code == 75, f"{out}\n{err}"
    assert "no in-place restarts left" in local_run.log("chief-0")


def test_early_stopping_ends_all_workers_with_0_and_everything_is_recorded(local_run: LocalRun) -> None:
    """And in the same run: JSON log lines, hyperparameters, a profile, the best checkpoint, the start's parts."""
    early = "earlyStopping: {metric: accuracy, patience: 2, minDelta: 0.5}, profileSteps: 5"
    trainer = f"{early}, hyperparameters: {{learning_rate: 0.002}}"
    text = job("MultiWorkerMirrored", 20000, every=40, trainer=trainer, evaluator="{replicas: 1}", logFormat="json")
    local_run.write(text)
    local_run.start("--plain")
    code, out, err = local_run.finish()
    assert code == 0, f"{out}\n{err}\n{local_run.all_logs()}"
    assert {task["exitCode"] for task in local_run.tasks().values()} == {0}

    evaluation = json.loads((local_run.run_dir / "evaluation.json").read_text())
    done = local_run.done()
    assert evaluation["stop"]["step"] <= done["step"] < 20000
    assert evaluation["last"]["step"] == done["step"], "the last checkpoint was evaluated, too"
    assert evaluation["last"]["metrics"] == done["metrics"]
    best = Path(evaluation["best"]["path"])
    assert best == local_run.run_dir / "best" / f"ckpt-{evaluation['best']['step']}"
    assert {each.name for each in best.parent.iterdir()} == {
        "checkpoint", f"{best.name}.index", f"{best.name}.data-00000-of-00001"
    }  # fmt: skip

    lines = [json.loads(line) for line in local_run.log("worker-0").splitlines() if line.startswith("{")]
    training = [line for line in lines if "stepsPerSecond" in line]
    assert training
    assert all(line["task"] == "worker-0" and line["level"] == "info" for line in training)
    assert {"time", "message", "step", "steps", "loss", "examplesPerSecond"} <= set(training[-1])
    assert lines[-1]["exitCode"] == 0
    startup = local_run.status()["startup"]
    assert all(seconds > 0 for seconds in startup.values()), startup
    assert_tensorboard_has_it_all(local_run.run_dir / "logs")

    code, out, _ = local_run.run("--plain")
    assert code == 0
    assert "was done already" in out


def assert_tensorboard_has_it_all(logs: Path) -> None:
    events = EventAccumulator(str(logs / "train"), size_guidance={"tensors": 0})
    events.Reload()
    names = set(events.Tags()["tensors"])
    assert {"loss", "learning_rate", "step_time", "examples_per_second", "examples_per_second_per_task"} <= names
    assert "run record/text_summary" in names or "run record" in names
    assert list((logs / "train" / "plugins" / "profile").glob("*/*.xplane.pb"))
    top = EventAccumulator(str(logs))
    top.Reload()
    content = top.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"learning_rate" in content
    assert b"batchSize" in content
