"""`tfd try` starts the check of the trainer in the current folder."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TASK = """
import keras
import tensorflow as tf
from trainer.task import Task

class Line(Task):
    def model(self):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    def optimizer(self):
        return keras.optimizers.SGD(0.1)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        data = tf.data.Dataset.from_tensor_slices((tf.ones([40, 3]), tf.ones([40])))
        data = data.repeat() if split == "train" else data
        return data.batch(context.batch_size, drop_remainder=split == "train")
"""


def tried(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfd", "try", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_task_of_the_current_folder_is_tried_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "line.py").write_text(TASK)
    done = tried(tmp_path, "line:Line", "--batch-size", "4")
    assert done.returncode == 0, done.stderr
    assert "inputs        float32 [4, 3]\n" in done.stdout


def test_error_and_its_exit_code_are_those_of_the_trainer(tmp_path: Path) -> None:
    done = tried(tmp_path, "line:Line")
    assert done.returncode != 0
    assert "line:Line" in done.stderr
    assert tried(tmp_path, "line:Line", "--steps", "0").returncode == 2


def test_help_lists_the_options_of_the_trainer(tmp_path: Path) -> None:
    assert "--batch-size" in tried(tmp_path, "--help").stdout
