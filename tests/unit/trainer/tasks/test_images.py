"""The base class of the image tasks: stored and synthetic images, augmentation, schedule and model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import ConfigError
from trainer.task import DataContext, load
from trainer.tasks.images import ImageClassification

SIDE = 24


class Small(ImageClassification):
    """A task with a network of one layer."""

    def network(self, side: int) -> Any:
        return keras.Sequential([keras.Input((side, side, 3)), keras.layers.GlobalAveragePooling2D()])


def small(settings: TrainerConfig | None = None, **hp: Any) -> Small:
    task = Small({**Small.defaults, "image_size": SIDE, "classes": 10, "synthetic_examples": 16, **hp})
    task.settings = settings or TrainerConfig()
    return task


def context(data_dir: Path | None = None, **changes: Any) -> DataContext:
    fields = {"batch_size": 4, "seed": 1, "data_dir": str(data_dir) if data_dir else None, **changes}
    return DataContext(**fields)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Two training files and one validation file.

    Each file contains three red JPEGs of class 1 and three green PNGs of class 2.
    """

    def image(label: int) -> bytes:
        pixels = np.zeros((40 + label, 60, 3), np.uint8)
        pixels[:, :, label - 1] = 200
        encode: Callable[..., Any] = tf.io.encode_jpeg if label == 1 else tf.io.encode_png
        feature = {
            "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encode(pixels).numpy()])),
            "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        }
        return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())

    for name in ("train-0", "train-1", "validation-0"):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for label in (1, 2, 1, 2, 1, 2):
                writer.write(image(label))
    return tmp_path


def batches(data: tf.data.Dataset, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(x.numpy(), y.numpy()) for x, y in data.take(count)]


def test_augmentation_of_stored_images_depends_on_the_seed(stored: Path) -> None:
    def images(seed: int) -> np.ndarray:
        found = batches(small(first_label=1).dataset(context(stored, seed=seed), "train"), 6)
        for pixels, labels in found:
            assert (pixels.shape, pixels.dtype) == ((4, SIDE, SIDE, 3), np.uint8)
            assert set(labels) <= {0, 1}
            assert (np.argmax(pixels.mean(axis=(1, 2)), axis=1) == labels).all(), "the dominant color must stay"
        return np.concatenate([pixels for pixels, _ in found])

    first = images(1)
    np.testing.assert_array_equal(first, images(1))
    assert (first != images(2)).any()
    assert len({image.tobytes() for image in first}) > 12, "each epoch must have other augmentations"


def test_evaluation_images_are_read_once_without_augmentation(stored: Path) -> None:
    found = batches(small().dataset(context(stored), "eval"), 10)
    assert [len(labels) for _, labels in found] == [4, 2]
    assert np.concatenate([labels for _, labels in found]).tolist() == [1, 2, 1, 2, 1, 2]
    red, green = found[0][0][:2].mean(axis=(1, 2))
    assert red[0] > 190 and red[1] < 10
    np.testing.assert_allclose(green, [0, 200, 0], atol=1)


def test_directory_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"files that match train-\*"):
        small().dataset(context(tmp_path), "train")


def test_pipelines_divide_synthetic_images_and_the_splits_are_disjoint() -> None:
    def images(split: str, pipeline: int = 0, pipelines: int = 1, count: int = 2) -> set[bytes]:
        made = small().dataset(context(batch_size=2, pipeline=pipeline, pipelines=pipelines), split)
        return {image.tobytes() for pixels, _ in batches(made, count) for image in pixels}

    everything = images("train", count=8)
    assert len(everything) == 16
    first, second = images("train", 0, 2, count=4), images("train", 1, 2, count=4)
    assert (len(first), len(second)) == (8, 8)
    assert first | second == everything
    held_out = images("eval", count=10)
    assert len(held_out) == 2
    assert not held_out & everything


def test_learning_rate_warms_up_and_decays() -> None:
    settings = TrainerConfig(steps=110, batch_size=512)
    rate = small(settings, learning_rate=0.1, warmup_steps=10).schedule()
    values = [float(rate(step)) for step in (0, 5, 10, 60, 110)]
    assert values == pytest.approx([0.0, 0.1, 0.2, 0.1, 0.0], abs=1e-6)
    assert float(small(settings, warmup_steps=0).schedule()(0)) == pytest.approx(0.2)
    with pytest.raises(ConfigError, match=r"warmup_steps: got 110; expected fewer than the 110 trainer\.steps"):
        small(settings, warmup_steps=110).schedule()


def test_weight_decay_applies_only_to_kernels() -> None:
    task = small(TrainerConfig(steps=10), warmup_steps=0, weight_decay=0.5)
    optimizer = task.optimizer()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    optimizer.build(model.trainable_variables)
    decayed = [each.path for each in model.trainable_variables if optimizer._use_weight_decay(each)]
    assert [path.rpartition("/")[2] for path in decayed] == ["kernel"]


def test_loss_uses_smoothed_labels() -> None:
    logits = tf.constant([[4.0] + [0.0] * 9])
    log_sum = math.log(math.exp(4) + 9)
    hard = float(small(label_smoothing=0.0).loss(tf.constant([0]), logits)[0])
    assert hard == pytest.approx(log_sum - 4, rel=1e-5)
    soft = small(label_smoothing=0.1).loss(tf.constant([0]), logits)
    assert soft.shape == (1,)
    assert float(soft[0]) == pytest.approx(log_sum - 0.9 * 4 - 0.01 * 4, rel=1e-5)


def test_logits_are_float32_in_mixed_precision() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small().model()
        assert model.output.dtype == "float32"
        assert model.layers[-2].compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("name", "side", "parameters"), [("inception_v3", 75, 23_851_784), ("resnet50", 32, 25_636_712)]
)
def test_networks_have_the_expected_number_of_parameters(name: str, side: int, parameters: int) -> None:
    """The number of parameters does not depend on the size of the images, so the test uses small images."""
    assert load(name, {"image_size": side}).model().count_params() == parameters
