"""Runs of the examples and of bad tasks, end to end: what comes out, how they end, how they go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.local_run import LocalRun

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "jobs" / "examples"
STORAGE = "storage: {claim: runs}\n"


def example(run: LocalRun, name: str) -> None:
    """Take over an example; its scripts are found from the run's folder as from the checkout."""
    run.write((EXAMPLES / f"{name}.yaml").read_text())
    os.symlink(ROOT / "jobs", run.folder / "jobs")


def scalars(folder: Path) -> dict[str, list[float]]:
    """Every scalar that TensorBoard would draw."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    tags = events.Tags()["tensors"]
    return {tag: [event.step for event in events.Tensors(tag)] for tag in tags}


def test_the_demo_trains_evaluates_exports_and_ends_by_itself(local_run: LocalRun) -> None:
    example(local_run, "digits-parameter-server")
    code, out, err = local_run.run("--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["result"]["metrics"]["accuracy"] >= 0.95
    assert result["result"]["step"] == 600
    tasks = result["tasks"]
    assert set(tasks) == {"chief-0", "ps-0", "ps-1", "worker-0", "worker-1", "evaluator-0"}
    assert {task["exitCode"] for task in tasks.values()} == {0}
    for name in ("ps-0", "ps-1", "worker-0", "worker-1"):
        assert abs(tasks[name]["secondsAfterLeader"]) < 2.0

    train, evaluation = scalars(local_run.run_dir / "logs" / "train"), scalars(local_run.run_dir / "logs" / "eval")
    assert train["loss"][-1] == 600
    assert len(train["loss"]) >= 600 / 50
    assert {"learning_rate", "steps_per_second", "examples_per_second"} <= set(train)
    assert evaluation["accuracy"][-1] == 600
    status = local_run.status()
    assert (status["state"], status["step"], status["exitCode"]) == ("done", 600, 0)
    assert_the_export_predicts(local_run.run_dir / "export", result["result"]["metrics"]["accuracy"])


def assert_the_export_predicts(export: Path, accuracy: float) -> None:
    """Load the SavedModel in a process of its own and let it classify the held-out digits."""
    program = """
import sys, glob, tensorflow as tf
from trainer.tasks import digits
model = tf.saved_model.load(sys.argv[1])
right = total = 0
for record in tf.data.TFRecordDataset(sorted(glob.glob(str(digits._DATA / "digits-eval-*.tfrecord")))).batch(512):
    images, labels = digits._decode(record)
    guesses = tf.argmax(model.serve(tf.cast(images, model.serve.input_signature[0].dtype
        if hasattr(model.serve, "input_signature") and model.serve.input_signature else tf.float32)), axis=-1)
    right += int(tf.reduce_sum(tf.cast(guesses == labels, tf.int32))); total += len(labels)
print("ACCURACY", right / total)
"""
    done = subprocess.run([sys.executable, "-c", program, str(export)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("ACCURACY")[1]) == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("name", ["own-script", "own-script-parameter-server"])
def test_an_own_script_trains_and_all_tasks_end_with_0(local_run: LocalRun, name: str) -> None:
    example(local_run, name)
    code, out, err = local_run.run("--json")
    assert code == 0, err
    assert {task["exitCode"] for task in json.loads(out)["tasks"].values()} == {0}


RAISING = """
from trainer.tasks.digits import Digits

class Raising(Digits):
    def dataset(self, context, split):
        if split == "train":
            raise ValueError("no column called label in train.csv")
        return super().dataset(context, split)
"""


@pytest.mark.parametrize("strategy", ["OneDevice", "MultiWorkerMirrored", "ParameterServer"])
def test_a_task_that_raises_ends_the_whole_run_with_1_and_says_why(local_run: LocalRun, strategy: str) -> None:
    (local_run.folder / "bad.py").write_text(RAISING)
    local_run.write(f'strategy: {strategy}\ntrainer: {{task: "bad:Raising"}}\n{STORAGE}')
    code, out, err = local_run.run("--plain")
    assert code == 1, f"{out}\n{err}"
    report = out.rsplit("little failed", 1)[1]
    assert "ended with 1: the run can't succeed" in report
    assert "ValueError: no column called label in train.csv" in report
    attempts = {name: task["attempts"] for name, task in local_run.tasks().items()}
    assert set(attempts.values()) == {1}, "a bug is never tried again"
    assert local_run.status()["state"] == "failed"


@pytest.mark.parametrize("strategy", ["MultiWorkerMirrored", "ParameterServer"])
def test_ctrl_c_leaves_a_checkpoint_and_the_same_command_goes_on(local_run: LocalRun, strategy: str) -> None:
    # No checkpoint is due before the end: the one that is found was saved because of Ctrl-C.
    trainer = "{steps: 600, checkpointEvery: 600, summaryEvery: 20}"
    local_run.write(f"strategy: {strategy}\ntrainer: {trainer}\n{STORAGE}")
    process = local_run.start("--plain")
    local_run.wait_for(lambda: local_run.status().get("step", 0) >= 60, "step 60")
    process.send_signal(signal.SIGINT)
    code, out, err = local_run.finish()
    assert code == 130, f"{out}\n{err}"
    saved = local_run.saved_step()
    assert 60 <= saved < 600
    assert {task["exitCode"] for task in local_run.tasks().values()} == {143}
    code, out, err = local_run.run("--plain")
    assert code == 0, f"{out}\n{err}"
    assert f"training from step {saved} to 600" in out
    assert local_run.done()["step"] == 600


def test_a_run_goes_on_from_another_one(local_run: LocalRun) -> None:
    local_run.write(f"trainer: {{steps: 200}}\n{STORAGE}")
    assert local_run.run()[0] == 0
    local_run.name = "second"
    local_run.write(f"trainer: {{steps: 1}}\nresumeFrom: little\n{STORAGE}")
    assert local_run.run()[0] == 0
    assert local_run.done()["step"] == 1
    assert local_run.done()["metrics"]["accuracy"] > 0.9, "one step alone can't do that"


def test_the_directory_of_another_run_is_refused(local_run: LocalRun) -> None:
    local_run.write(f"trainer: {{steps: 20}}\n{STORAGE}")
    assert local_run.run()[0] == 0
    local_run.write(f"trainer: {{steps: 30}}\n{STORAGE}")
    code, out, _ = local_run.run()
    assert code == 2
    assert "the directory holds a run with another configuration" in out
    assert local_run.done()["step"] == 20, "nothing of the first run is lost"
    assert local_run.run("--fresh")[0] == 0
    assert local_run.done()["step"] == 30


def test_a_wrong_hyperparameter_says_what_to_set(local_run: LocalRun) -> None:
    local_run.write(f"trainer: {{hyperparameters: {{learning_rat: 0.1}}}}\n{STORAGE}")
    code, out, _ = local_run.run()
    assert code == 2
    assert "learning_rat" in out
    assert "did you mean" in out
    shutil.rmtree(local_run.state)
