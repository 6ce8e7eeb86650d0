"""`python -m trainer check` of a valid task, and of tasks with one error each."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from trainer.check import command, counts, inspection
from trainer.check.report import Report, describe
from trainer.runtime import exit_codes
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError, TrainerExit
from trainer.task import DataContext, Task, load

HERE = "tests.unit.trainer.test_check"


class Line(Task):
    """Fits a line; a valid task."""

    defaults = {"learning_rate": 0.1, "rows": 40}  # noqa: RUF012

    def model(self) -> Any:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="line")])

    def optimizer(self) -> Any:
        return keras.optimizers.SGD(float(self.hp["learning_rate"]))

    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.square(labels - outputs[:, 0])

    def data(self) -> Any:
        x = tf.random.stateless_uniform([int(self.hp["rows"]), 3], [1, 2])
        return tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1)))

    def dataset(self, context: DataContext, split: str) -> Any:
        data = self.data().repeat() if split == "train" else self.data()
        return data.batch(context.batch_size, drop_remainder=split == "train")

    def metrics(self) -> list[Any]:
        return [keras.metrics.MeanAbsoluteError(name="error")]


class NoLoss(Task):
    def model(self) -> Any: ...
    def optimizer(self) -> Any: ...


class ScalarLoss(Line):
    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.reduce_mean(super().loss(labels, outputs))


class LossOfColumns(Line):
    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.reduce_mean(tf.square(labels[:, tf.newaxis] - outputs), axis=0)


class ShapesThatDiffer(Line):
    def model(self) -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


class Unbuilt(Line):
    def model(self) -> Any:
        return keras.Sequential([keras.layers.Dense(1)])


class Raising(Line):
    def optimizer(self) -> Any:
        raise RuntimeError("no optimizer today")


class NoLabels(Line):
    def dataset(self, context: DataContext, split: str) -> Any:
        return super().dataset(context, split).map(lambda x, y: x)


class NotBatched(Line):
    def dataset(self, context: DataContext, split: str) -> Any:
        return self.data().repeat()


class NoDataset(Line):
    def dataset(self, context: DataContext, split: str) -> Any:
        return [1, 2]


class NothingToTrainOn(Line):
    def dataset(self, context: DataContext, split: str) -> Any:
        return self.data().take(0).batch(context.batch_size)


class NotANumber(Line):
    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.math.log(labels - labels) * outputs[:, 0] * 0.0


class WrongMetric(Line):
    def metrics(self) -> list[Any]:
        return [keras.metrics.MeanIoU(num_classes=0, name="iou")]


def checked(name: str, **changes: Any) -> Report:
    task = name if ":" in name or "." in name else f"{HERE}:{name}"
    return inspection.check(TrainerConfig(task=task, batch_size=8, **changes), None)


def test_valid_task_is_described() -> None:
    report = checked("Line")
    assert (report.parameters, report.trainableParameters) == (4, 4)
    assert report.inputs == "float32 [8, 3]"
    assert report.labels == "float32 [8]"
    assert report.outputs == "float32 [8, 1]"
    assert report.multiplyAddsPerExample == 3
    assert report.flopsPerExample == 7  # 3 products and 3 sums; the profiler adds one for the bias
    assert report.loss > 0
    assert set(report.metrics) == {"error", "loss"}
    assert report.secondsPerStep > 0
    assert report.peakMemoryBytes > 0
    text = describe(report)
    assert "parameters    4, trainable 4" in text
    assert "loss " in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ScalarLoss", "loss(labels float32 [8], outputs float32 [8, 1]): ValueError: loss() returned a scalar"),
        ("LossOfColumns", "returned 1 losses for 8 examples: it must return one loss per example"),
        ("ShapesThatDiffer", "model() called with features float32 [8, 3]: "),
        (
            "Unbuilt",
            "model(): got a model that is not built; expected a model whose variables exist. Begin the",
        ),
        ("Raising", "model() or optimizer(): RuntimeError: no optimizer today"),
        ("NoLabels", 'dataset(context, "train"): got elements float32 [8, 3]; expected a tuple (features, labels)'),
        ("NotBatched", "expected the batch as the first dimension of each tensor, 8 examples (context.batch_size)"),
        ("NoDataset", 'dataset(context, "train"): got an object of type list; expected a tf.data.Dataset.'),
        ("NothingToTrainOn", 'dataset(context, "train"): got a dataset of 0 batches; expected an endless dataset'),
        ("NotANumber", "loss(): the first step's loss is nan"),
        ("WrongMetric", "metrics(): "),
    ],
)
def test_error_of_a_task_names_the_method_and_the_cause(name: str, message: str) -> None:
    with pytest.raises(TrainerExit) as error:
        checked(name)
    assert message in str(error.value)
    assert error.value.code == exit_codes.FAILED
    assert "\n" not in str(error.value)


def test_refusal_of_a_task_names_its_missing_methods() -> None:
    with pytest.raises(ConfigError, match=r"NoLoss lacks dataset\(\) and loss\(\)"):
        checked("NoLoss")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([f"{HERE}:NoLoss"], 2, "lacks dataset() and loss()"),
        ([f"{HERE}:ScalarLoss"], 1, "returned a scalar"),
        ([f"{HERE}:Line", "--set", "rate=1"], 2, "trainer.hyperparameters.rate: got an unknown key"),
        ([f"{HERE}:Line", "--set", "rate"], 2, '--set: got "rate"; expected NAME=VALUE.'),
        ([f"{HERE}:Line", "--batch-size", "0"], 2, "--batch-size"),
        (["dogits"], 2, 'trainer.task: got "dogits"'),
        ([], 2, "task: got nothing; expected a task, or --record with a run record."),
        (["--record", "absent.json"], 2, 'TRAINER_RECORD: got "absent.json", which cannot be read'),
        ([f"{HERE}:Line", "--replicas", "0"], 2, "--replicas: got 0; expected 1 or more."),
    ],
)
def test_check_command_fails_with_one_line(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(words) == code
    out, err = capsys.readouterr()
    assert (out, len(err.strip().splitlines())) == ("", 1)
    assert message in err


def test_json_option_prints_the_report_or_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([f"{HERE}:Line", "--json", "--batch-size", "4", "--set", "learning_rate=0.5"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["batchSize"] == 4
    assert report["inputs"] == "float32 [4, 3]"
    assert command.main([f"{HERE}:ScalarLoss", "--json"]) == 1
    assert "returned a scalar" in json.loads(capsys.readouterr().out)["error"]


def test_record_option_takes_the_settings_of_a_run(raw: dict[str, Any], tmp_path: Path) -> None:
    settings = {"task": f"{HERE}:Line", "steps": 7, "batchSize": 4, "precision": "mixed_bfloat16", "jitCompile": True}
    raw["identity"]["trainer"] = {**settings, "hyperparameters": {"rows": 30, "learning_rate": 0.2}}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(raw))

    def settings_of(*words: str) -> TrainerConfig:
        return command._settings(command.parser().parse_args(words))

    found = settings_of("--record", str(path), "--set", "rows=20")
    assert (found.task, found.steps, found.batch_size, found.jit_compile) == (f"{HERE}:Line", 7, 4, True)
    assert (found.precision, found.hyperparameters) == ("mixed_bfloat16", {"rows": 20, "learning_rate": 0.2})
    changed = settings_of("digits", "--record", str(path), "--precision", "float32", "--batch-size", "2")
    assert (changed.task, changed.precision, changed.batch_size) == ("digits", "float32", 2)
    assert settings_of("digits").batch_size == 8


class EightExamples(Line):
    """Its loss holds for batches of 8 examples only."""

    def loss(self, labels: Any, outputs: Any) -> Any:
        return tf.square(tf.reshape(labels, [8]) - outputs[:, 0])

    def dataset(self, context: DataContext, split: str) -> Any:
        return super().dataset(context, split) if split == "train" else None


class Accumulate(Line):
    def optimizer(self) -> Any:
        return keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)


class Synchronized(Line):
    def model(self) -> Any:
        layers = [keras.layers.BatchNormalization(synchronized=True), keras.layers.Dense(1)]
        return keras.Sequential([keras.Input((3,)), *layers])


REPLICAS = """
import sys
from trainer.check import command
for words in sys.argv[1:]:
    print("code", command.main(words.split()), flush=True)
"""


def test_replicas_option_finds_what_fails_only_with_several_replicas() -> None:
    """One process runs all cases. Only the last one has steps with replicas, whose collectives TensorFlow mixes up."""
    cases = {
        f"{HERE}:Synchronized --replicas 2 --jit-compile": (
            2,
            "trainer.jitCompile: got true; expected false for Batch",
        ),
        f"{HERE}:EightExamples --replicas 2": (1, "loss(labels float32 [4], outputs float32 [4, 1]): "),
        f"{HERE}:Line --replicas 2 --batch-size 5": (
            2,
            "trainer.batchSize: got 5; expected a multiple of the 2 replicas",
        ),
        f"{HERE}:EightExamples": (0, '"replicas": 1,'),
        f"{HERE}:Accumulate --replicas 2": (0, '"inputs": "float32 [4, 3]"'),
    }
    program = [sys.executable, "-c", REPLICAS, *(f"{words} --json" for words in cases)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    found = re.findall(r"(.*?)code (\d)\n", done.stdout, flags=re.S)
    assert len(found) == len(cases), done.stderr
    for (words, (code, text)), (out, got) in zip(cases.items(), found, strict=True):
        assert int(got) == code, (words, out, done.stderr)
        assert text in out.replace('\\"', '"'), words


def test_set_option_converts_numbers_and_booleans() -> None:
    texts = ["a=1", "b=1e-3", "c=true", "d=sgd", "e=x=y"]
    assert dict(map(command._assignment, texts)) == {"a": 1, "b": 0.001, "c": True, "d": "sgd", "e": "x=y"}


def test_multiply_adds_cover_convolutions_and_matrix_products() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)  # 64 places * 4 * 27
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)  # 64 places * 4 * 9
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))  # 256 * 10
    spec = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    assert counts.multiply_adds(model, spec) == 64 * 4 * 27 + 64 * 4 * 9 + 256 * 10


def test_task_has_the_settings_of_the_run() -> None:
    settings = TrainerConfig(steps=7, batch_size=3)
    assert load(f"{HERE}:Line", {}, settings).settings is settings
    assert load(f"{HERE}:Line", {}).settings == TrainerConfig()


def test_task_of_the_guide_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "writing-a-task.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", guide, flags=re.S)
    (tmp_path / "line_of_the_guide.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    for split in ("train", "eval"):
        with tf.io.TFRecordWriter(str(tmp_path / f"{split}-0.tfrecord")) as writer:
            for number in range(8):
                numbers = {"x": [number, 1.0, 2.0], "y": [number + 3.0]}
                feature = {
                    name: tf.train.Feature(float_list=tf.train.FloatList(value=value))
                    for name, value in numbers.items()
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    settings = TrainerConfig(task="line_of_the_guide:Line", batch_size=4, steps=10)
    report = inspection.check(settings, str(tmp_path))
    assert (report.parameters, report.inputs, report.outputs) == (4, "float32 [4, 3]", "float32 [4, 1]")
    assert set(report.metrics) == {"error", "loss"}


class FourFeatures(Line):
    """The model has 4 inputs, the data have 3 features."""

    def model(self) -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="line")])


def test_wrong_shape_is_told_by_its_own_line() -> None:
    with pytest.raises(TrainerExit) as error:
        inspection.check(TrainerConfig(task=f"{HERE}:FourFeatures", batch_size=4), None)
    assert str(error.value).endswith(
        "ValueError: Input 0 with name 'None' of layer 'line' is incompatible with the layer: expected axis -1 of "
        "input shape to have value 4, but received input with shape (4, 3)"
    )
