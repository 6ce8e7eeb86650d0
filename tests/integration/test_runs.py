"""Runs of the examples and of bad tasks, end to end: what comes out, how they end, how they continue."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.integration.local_run import LocalRun

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
        assert tasks[name]["secondsAfterLeader"] is not None
        assert "exit 0: the run is done" in local_run.log(name)

    train, evaluation = scalars(local_run.run_dir / "logs" / "train"), scalars(local_run.run_dir / "logs" / "eval")
    assert train["loss"][-1] == 600
    assert len(train["loss"]) >= 600 / 50
    assert {"learning_rate", "steps_per_second", "examples_per_second"} <= set(train)
    assert evaluation["accuracy"][-1] == 600
    status = local_run.status()
    assert (status["state"], status["step"], status["exitCode"]) == ("done", 600, 0)
    assert_the_export_predicts(local_run.run_dir / "export", result["result"]["metrics"]["accuracy"])
    assert counted(local_run.run_dir / "checkpoints" / "ckpt-600") == {"step": 600, "iterations": 600}


def counted(checkpoint: Path) -> dict[str, int]:
    """Both counters of a checkpoint; left alone, Keras loses some of its own when several workers count."""
    program = """
import sys, json, tensorflow as tf
names = {"step": "step", "iterations": "optimizer/_iterations"}
values = {k: tf.train.load_variable(sys.argv[1], f"{v}/.ATTRIBUTES/VARIABLE_VALUE") for k, v in names.items()}
print(json.dumps({k: int(v) for k, v in values.items()}))
"""
    done = subprocess.run([sys.executable, "-c", program, str(checkpoint)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_the_export_predicts(export: Path, accuracy: float) -> None:
    """Load the SavedModel in a process of its own and let it classify the evaluation digits."""
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
def test_custom_script_trains_and_all_tasks_exit_with_0(local_run: LocalRun, name: str) -> None:
    example(local_run, name)
    code, out, err = local_run.run("--json")
    assert code == 0, err
    assert {task["exitCode"] for task in json.loads(out)["tasks"].values()} == {0}


# As in TensorFlow's guide to parameter server training, "Clusters in the real world": one program for all tasks.
GUIDE = """
import os
import tensorflow as tf

os.environ["GRPC_FAIL_FAST"] = "use_caller"
cluster_resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
if cluster_resolver.task_type in ("worker", "ps"):
    server = tf.distribute.Server(
        cluster_resolver.cluster_spec(),
        job_name=cluster_resolver.task_type,
        task_index=cluster_resolver.task_id,
        protocol=cluster_resolver.rpc_layer or "grpc",
        start=True,
    )
    server.join()
else:
    variable_partitioner = tf.distribute.experimental.partitioners.MinSizePartitioner(
        min_shard_bytes=(256 << 10), max_shards=2
    )
    strategy = tf.distribute.ParameterServerStrategy(cluster_resolver, variable_partitioner=variable_partitioner)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    with strategy.scope():
        v = tf.Variable(initial_value=0.0)

    @tf.function
    def worker_fn(iterator):
        def replica_fn(x):
            v.assign_add(x)
            return x

        return strategy.run(replica_fn, args=(next(iterator),))

    @tf.function
    def per_worker_dataset_fn():
        return strategy.distribute_datasets_from_function(lambda _: tf.data.Dataset.from_tensors(1.0).repeat())

    per_worker_iterator = iter(coordinator.create_per_worker_dataset(per_worker_dataset_fn))
    for _ in range(200):
        coordinator.schedule(worker_fn, args=(per_worker_iterator,))
    coordinator.join()
    print("v is", v.numpy(), flush=True)
"""


def test_script_of_the_tensorflow_guide_runs_unchanged_and_its_servers_end(local_run: LocalRun) -> None:
    (local_run.folder / "guide.py").write_text(GUIDE)
    command = "command: [python, -m, trainer, --, guide.py]\n"
    local_run.write(f"strategy: ParameterServer\nps: {{replicas: 2}}\n{STORAGE}{command}")
    code, out, err = local_run.run("--json")
    assert code == 0, err
    tasks = json.loads(out)["tasks"]
    assert {name: task["exitCode"] for name, task in tasks.items()} == dict.fromkeys(tasks, 0)
    assert len(tasks) == 5
    assert "v is 200.0" in local_run.log("chief-0")


RAISING = """
from trainer.tasks.digits import Digits

class Raising(Digits):
    def dataset(self, context, split):
        if split == "train":
            raise ValueError("no column called label in train.csv")
        return super().dataset(context, split)
"""


@pytest.mark.parametrize("strategy", ["OneDevice", "MultiWorkerMirrored", "ParameterServer"])
def test_task_that_raises_ends_the_whole_run_with_1_and_the_reason(local_run: LocalRun, strategy: str) -> None:
    (local_run.folder / "bad.py").write_text(RAISING)
    local_run.write(f'strategy: {strategy}\ntrainer: {{task: "bad:Raising"}}\n{STORAGE}')
    code, out, err = local_run.run("--plain")
    assert code == 1, f"{out}\n{err}"
    report = out.rsplit("little failed", 1)[1]
    assert "exited with 1: The task failed" in report
    assert "ValueError: no column called label in train.csv" in report
    attempts = {name: task["attempts"] for name, task in local_run.tasks().items()}
    assert set(attempts.values()) == {1}, "a bug is never retried"
    assert local_run.status()["state"] == "failed"


@pytest.mark.parametrize("strategy", ["MultiWorkerMirrored", "ParameterServer"])
def test_ctrl_c_saves_a_checkpoint_and_the_same_command_resumes(local_run: LocalRun, strategy: str) -> None:
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


def test_warm_start_begins_with_the_weights_of_another_run(local_run: LocalRun) -> None:
    local_run.write(f"trainer: {{steps: 200}}\n{STORAGE}")
    assert local_run.run()[0] == 0
    local_run.name = "second"
    local_run.write(f"trainer: {{steps: 1}}\nwarmStartFrom: little\n{STORAGE}")
    assert local_run.run()[0] == 0
    assert local_run.done()["step"] == 1
    assert local_run.done()["metrics"]["accuracy"] > 0.9, "one step alone cannot do that"


def test_directory_of_another_run_is_refused(local_run: LocalRun) -> None:
    local_run.write(f"trainer: {{steps: 20}}\n{STORAGE}")
    assert local_run.run()[0] == 0
    local_run.write(f"trainer: {{steps: 30}}\n{STORAGE}")
    code, out, _ = local_run.run()
    assert code == 2
    assert "of another configuration" in out
    assert local_run.done()["step"] == 20, "nothing of the first run is lost"
    assert local_run.run("--fresh")[0] == 0
    assert local_run.done()["step"] == 30


def test_wrong_hyperparameter_is_refused_with_the_known_names(local_run: LocalRun) -> None:
    local_run.write(f"trainer: {{hyperparameters: {{learning_rat: 0.1}}}}\n{STORAGE}")
    code, out, _ = local_run.run()
    assert code == 2
    assert "learning_rat" in out
    assert "Rename it to learning_rate." in out
    shutil.rmtree(local_run.state)
