"""Before step 1, a run tries what it otherwise does for the first time at its end."""

from __future__ import annotations

import pytest

from tests.integration.local_run import LocalRun

pytestmark = pytest.mark.processes

TASKS = '''
import keras
import tensorflow as tf
from trainer.tasks.digits import Digits

TABLES = []


class Sizes(Digits):
    def dataset(self, context, split):
        print("SIZE", split, context.batch_size, flush=True)
        return super().dataset(context, split)


class Lookup(keras.layers.Layer):
    def call(self, x):
        return x + TABLES[0].lookup(tf.cast(x, tf.int64))


class Table(Digits):
    """Its table belongs to no layer, so that the model cannot be exported."""

    def model(self):
        keys = tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant([0.5, 1.5]))
        TABLES[:] = [tf.lookup.StaticHashTable(keys, -1.0)]
        layers = [Lookup(), keras.layers.Flatten(), keras.layers.Dense(10)]
        return keras.Sequential([keras.Input((8, 8, 1)), *layers])
'''


def job(name: str, settings: str, rest: str = "") -> str:
    return f'trainer: {{task: "tasks:{name}", {settings}}}\nstorage: {{claim: runs}}\n{rest}'


def test_export_that_fails_ends_the_run_before_step_1(local_run: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    (local_run.folder / "tasks.py").write_text(TASKS)
    monkeypatch.setenv("PYTHONPATH", str(local_run.folder))
    local_run.write(job("Table", "steps: 20, batchSize: 16"))
    code, out, err = local_run.run("--plain")
    assert code == 1, out + err
    line = (
        "the export of the model: AssertionError: Tried to export a function which references an 'untracked' resource"
    )
    status = local_run.status()
    assert line in status["message"]
    assert (status["state"], status["exitCode"], status["step"]) == ("failed", 1, 0)
    assert "Traceback" in local_run.log("chief-0")
    assert {each.name for each in local_run.run_dir.iterdir()} <= {
        "run.json",
        "status.json",
        "checkpoints",
        "lease.json",
    }
    assert not list((local_run.run_dir / "checkpoints").iterdir())


def test_held_out_batch_is_the_part_of_one_replica(local_run: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    (local_run.folder / "tasks.py").write_text(TASKS)
    monkeypatch.setenv("PYTHONPATH", str(local_run.folder))
    rest = 'strategy: Mirrored\nenv: [{name: TRAINER_LOGICAL_CPUS, value: "4"}]\nevaluator: {replicas: 1}\n'
    local_run.write(job("Sizes", "steps: 10, batchSize: 64", rest))
    code, out, err = local_run.run("--plain")
    assert code == 0, out + err
    assert local_run.status()["replicas"] == 4
    sizes = {line for line in local_run.all_logs().splitlines() if "SIZE" in line}
    assert {line.partition("SIZE ")[2] for line in sizes} == {"train 16", "eval 16"}
    assert "SIZE eval 16" in local_run.log("evaluator-0")
    assert local_run.done()["metrics"]["loss"] != round(local_run.done()["metrics"]["loss"], 6)
