"""The images of a check: JPEG files of the usual size in TFRecord files, and a small network for CPUs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final

import keras
import tensorflow as tf

from trainer.tasks.images import ImageClassification

_HEIGHT, _WIDTH = 375, 500
"""The mean size of the images of ImageNet."""
_QUALITY: Final = 90
_DETAIL: Final = 4
"""Pixels of a detail. With these two numbers a file has about the size of one of ImageNet, 110 kB."""
_FILES: Final = 16
_LABELS: Final = 10


def write(folder: Path, images: int) -> None:
    """Write `images` JPEG files with random content to `folder`.

    The folder appears when it is complete. An existing folder stays as it is.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for file in range(_FILES):
            with tf.io.TFRecordWriter(str(temporary / f"train-{file:05}-of-{_FILES:05}")) as writer:
                for number in range(file, images, _FILES):
                    writer.write(_record(number))
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _record(number: int) -> bytes:
    with tf.device("/cpu:0"):
        encoded = _jpeg(number)
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(encoded)
    example.features.feature["image/class/label"].int64_list.value.append(number % _LABELS)
    return bytes(example.SerializeToString())


def _jpeg(number: int) -> bytes:
    coarse = tf.random.stateless_uniform([_HEIGHT // _DETAIL, _WIDTH // _DETAIL, 3], [0, number], 0, 256)
    image = tf.cast(tf.image.resize(coarse, [_HEIGHT, _WIDTH]), tf.uint8)
    return bytes(tf.io.encode_jpeg(image, quality=_QUALITY).numpy())


class TinyImages(ImageClassification):
    """Classifies small images with two layers, to try the check itself without a GPU."""

    defaults: ClassVar[dict[str, Any]] = {
        **ImageClassification.defaults,
        "image_size": 16,
        "classes": 10,
        "warmup_steps": 0,
        "shuffle": 16,
        "synthetic_examples": 32,
    }

    def network(self, side: int) -> keras.Model:
        """Return a convolution with batch normalization and a mean over all pixels."""
        return keras.Sequential(
            [
                keras.Input((side, side, 3)),
                keras.layers.Conv2D(4, 3, strides=2),
                keras.layers.BatchNormalization(),
                keras.layers.GlobalAveragePooling2D(),
            ]
        )
