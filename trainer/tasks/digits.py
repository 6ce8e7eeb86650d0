"""Classification of handwritten digits: 1,797 images of 8x8 pixels, which the package contains.

One fifth of the images is the evaluation data. A small convolutional network reaches an accuracy of about 0.98 on it
after 600 steps of 64 images. This takes less than a minute on one core. The data is scikit-learn's `load_digits`; the
script scripts/make_digits.py converts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

import keras
import tensorflow as tf

from trainer.task import DataContext, Dataset, Metric, Model, Optimizer, Task, Tensor

_DATA: Final = Path(__file__).parent / "data"
_SIDE: Final = 8
_BRIGHTEST: Final = 16
_CLASSES: Final = 10
_FEATURES: Final = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def _decode(serialized: Tensor) -> tuple[Tensor, Tensor]:
    """Return images `[batch, 8, 8, 1]` (uint8, 0 to 16) and labels `[batch]` (int64) of a batch of records."""
    parsed = tf.io.parse_example(serialized, _FEATURES)
    pixels = tf.io.decode_raw(parsed["image"], tf.uint8, fixed_length=None)
    return tf.reshape(pixels, [-1, _SIDE, _SIDE, 1]), parsed["label"]


class Digits(Task):
    """Classifies 8x8 images of handwritten digits."""

    defaults: ClassVar = {"learning_rate": 1e-3, "width": 32, "dropout": 0.2}

    def model(self) -> Model:
        """Return two convolutions and two dense layers: images `[batch, 8, 8, 1]` -> logits `[batch, 10]`."""
        width = int(self.hp["width"])
        return keras.Sequential(
            [
                keras.Input((_SIDE, _SIDE, 1)),
                keras.layers.Rescaling(1 / _BRIGHTEST),
                keras.layers.Conv2D(width, 3, padding="same", activation="relu"),
                keras.layers.Conv2D(2 * width, 3, padding="same", activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
                keras.layers.Dropout(float(self.hp["dropout"])),
                keras.layers.Dense(2 * width, activation="relu"),
                # Float32 even in mixed precision: a softmax over float16 logits is not stable.
                keras.layers.Dense(_CLASSES, dtype="float32"),
            ],
            name="digits",
        )

    def optimizer(self) -> Optimizer:
        """Return Adam."""
        return keras.optimizers.Adam(float(self.hp["learning_rate"]))

    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the cross entropy of each example, `[batch]`."""
        return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)

    def dataset(self, context: DataContext, split: str) -> Dataset:
        """Return batches of `(image [batch, 8, 8, 1] uint8, label [batch] int64)`."""
        paths = sorted(str(path) for path in _DATA.glob(f"digits-{split}-*.tfrecord"))
        records = tf.data.TFRecordDataset(paths).shard(context.pipelines, context.pipeline).cache()
        if split == "train":
            records = records.shuffle(2048, seed=context.seed).repeat()
        batches = records.batch(context.batch_size, drop_remainder=split == "train")
        return batches.map(_decode, num_parallel_calls=1).prefetch(2)

    def metrics(self) -> list[Metric]:
        """Return the metric `accuracy`."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
