"""Image classification: the common base class of `inception_v3` and `resnet50`.

The task reads TFRecord files in DATA_DIR, `train-*` and `validation-*` (hyperparameters `train_files` and
`validation_files`). This is the usual format of ImageNet. Each record is a `tf.train.Example` with

    image/encoded      bytes   a JPEG or PNG file of any size
    image/class/label  int64   the class; `first_label` is the smallest one (0, but 1 in the usual files of ImageNet)

Without DATA_DIR the images are synthetic: a pattern of the class with noise. They serve to measure the time of a step,
or to observe a falling loss.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

import keras
import tensorflow as tf

from trainer import inputs
from trainer.task import ConfigError, DataContext, Dataset, Metric, Model, Optimizer, Scalar, Task, Tensor

_FEATURES: Final = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
}
_BATCH_OF_RATE: Final = 256
_CHANNELS: Final = 3
_CENTRE: Final = 0.875
"""Share of each side of an evaluation image that the central crop keeps."""
_SMALLEST_CROP: Final = 0.08
_SYNTHETIC_SEED: Final = 20_000


class ImageClassification(Task):
    """Classifies images. A subclass defines the network."""

    defaults: ClassVar[dict[str, Scalar]] = {
        "image_size": 224,  # pixels, both sides
        "classes": 1000,
        "learning_rate": 0.1,  # the maximum for 256 examples per step; scaled with the batch size
        "warmup_steps": 500,  # linear increase of the learning rate; then cosine decay to 0 at the last step
        "momentum": 0.9,
        "weight_decay": 1e-4,  # decoupled, times the learning rate per step, only for kernels
        "label_smoothing": 0.1,
        "colour": 0.2,  # maximum change of brightness, contrast and saturation
        "first_label": 0,
        "train_files": "train-*",
        "validation_files": "validation-*",
        "shuffle": 4096,  # encoded records in the shuffle buffer
        "synthetic_examples": 256,
    }

    @abstractmethod
    def network(self, side: int) -> Model:
        """Return the network without its classifier: `[batch, side, side, 3]` (-1 to 1) -> features `[batch, n]`."""

    def model(self) -> Model:
        """Return the whole model: images `[batch, side, side, 3]` (0 to 255) -> logits `[batch, classes]`."""
        side = int(self.hp["image_size"])
        images = keras.Input((side, side, _CHANNELS), dtype="uint8", name="images")
        network = self.network(side)
        features = network(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images))
        # Float32 even in mixed precision: a softmax over float16 logits is not stable.
        logits = keras.layers.Dense(int(self.hp["classes"]), dtype="float32", name="logits")(features)
        return keras.Model(images, logits, name=type(self).__name__.lower())

    def optimizer(self) -> Optimizer:
        """Return SGD with Nesterov momentum, decoupled weight decay and the learning rate of `schedule`."""
        optimizer = keras.optimizers.SGD(
            self.schedule(),
            momentum=float(self.hp["momentum"]),
            nesterov=True,
            weight_decay=float(self.hp["weight_decay"]) or None,
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer

    def schedule(self) -> keras.optimizers.schedules.LearningRateSchedule:
        """Return the learning rate over `trainer.steps`: linear warm-up from 0, then cosine decay to 0.

        Raises:
            ConfigError: `warmup_steps` is not less than `trainer.steps`.

        """
        steps, warmup = self.settings.steps, int(self.hp["warmup_steps"])
        highest = float(self.hp["learning_rate"]) * self.settings.batch_size / _BATCH_OF_RATE
        if warmup >= steps:
            raise ConfigError(
                "trainer.hyperparameters.warmup_steps",
                got=warmup,
                expected=f"fewer than the {steps} trainer.steps",
                fix=f"Set warmup_steps: {steps // 20}",
            )
        if not warmup:
            return keras.optimizers.schedules.CosineDecay(highest, steps)
        return keras.optimizers.schedules.CosineDecay(0.0, steps - warmup, warmup_target=highest, warmup_steps=warmup)

    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the cross entropy of each example, `[batch]`, with smoothed labels."""
        smoothing = float(self.hp["label_smoothing"])
        targets = tf.one_hot(labels, outputs.shape[-1], dtype=tf.float32)
        return keras.losses.categorical_crossentropy(targets, outputs, from_logits=True, label_smoothing=smoothing)

    def dataset(self, context: DataContext, split: str) -> Dataset:
        """Return batches of `(image [batch, side, side, 3] uint8, label [batch] int64)`."""
        training = split == "train"
        if context.data_dir:
            examples = self._stored(context, training=training)
        else:
            examples = self._synthetic(context, training=training)
        return examples.batch(context.batch_size, drop_remainder=training).prefetch(tf.data.AUTOTUNE)

    def metrics(self) -> list[Metric]:
        """Return the metrics `accuracy` and, with more than five classes, `top5` (top-5 accuracy)."""
        found: list[Metric] = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        if int(self.hp["classes"]) > 5:  # noqa: PLR2004
            found.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5"))
        return found

    def _stored(self, context: DataContext, *, training: bool) -> Dataset:
        pattern = str(self.hp["train_files" if training else "validation_files"])
        paths = inputs.find_files(context.data_dir, pattern)
        records = inputs.read_records(paths, context, shuffle=int(self.hp["shuffle"]) if training else 0)
        if not training:
            return records.map(self._held_out, num_parallel_calls=tf.data.AUTOTUNE)
        seeded = tf.data.Dataset.zip(records.repeat(), inputs.example_seeds(context))
        return seeded.map(self._augmented, num_parallel_calls=tf.data.AUTOTUNE)

    def _parse(self, record: Tensor) -> tuple[Tensor, Tensor]:
        parsed = tf.io.parse_single_example(record, _FEATURES)
        return parsed["image/encoded"], parsed["image/class/label"] - int(self.hp["first_label"])

    def _augmented(self, record: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Return a random crop of the image, with a random flip and random changes of color, and its label."""
        encoded, label = self._parse(record)
        image = tf.io.decode_image(encoded, channels=_CHANNELS, expand_animations=False)
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros([1, 0, 4]),
            seed,
            min_object_covered=0.0,
            area_range=(_SMALLEST_CROP, 1.0),
            use_image_if_no_bounding_boxes=True,
        )
        return self._resized(tf.slice(image, begin, size), seed), label

    def _resized(self, image: Tensor, seed: Tensor) -> Tensor:
        side, colour = int(self.hp["image_size"]), float(self.hp["colour"])
        image = tf.image.resize(image, [side, side])
        image = tf.image.stateless_random_flip_left_right(image, seed)
        if colour:
            image = tf.image.stateless_random_brightness(image, 255 * colour, seed)
            image = tf.image.stateless_random_contrast(image, 1 - colour, 1 + colour, seed + 1)
            image = tf.image.stateless_random_saturation(
                tf.clip_by_value(image, 0, 255), 1 - colour, 1 + colour, seed + 2
            )
        return tf.saturate_cast(tf.ensure_shape(image, [side, side, _CHANNELS]), tf.uint8)

    def _held_out(self, record: Tensor) -> tuple[Tensor, Tensor]:
        """Return the central crop of the image, and its label."""
        encoded, label = self._parse(record)
        side = int(self.hp["image_size"])
        image = tf.io.decode_image(encoded, channels=_CHANNELS, expand_animations=False)
        image = tf.image.resize(tf.image.central_crop(image, _CENTRE), [side, side])
        return tf.saturate_cast(tf.ensure_shape(image, [side, side, _CHANNELS]), tf.uint8), label

    def _synthetic(self, context: DataContext, *, training: bool) -> Dataset:
        """Return synthetic images. The training images are generated once and cached in memory."""
        examples, side = int(self.hp["synthetic_examples"]), int(self.hp["image_size"])
        first = 0 if training else examples

        def make(number: Tensor) -> tuple[Tensor, Tensor]:
            label = number % int(self.hp["classes"])
            pattern = tf.random.stateless_uniform([8, 8, _CHANNELS], tf.stack([_SYNTHETIC_SEED, label]), 0, 192)
            noise = tf.random.stateless_uniform([side, side, _CHANNELS], tf.stack([_SYNTHETIC_SEED + 1, number]), 0, 64)
            return tf.cast(tf.image.resize(pattern, [side, side], "nearest") + noise, tf.uint8), label

        numbers = tf.data.Dataset.range(first, first + examples)
        if not training:
            return numbers.take(max(1, examples // 8)).map(make)
        share = numbers.shard(context.pipelines, context.pipeline).map(make).cache()
        return share.shuffle(examples, seed=context.seed).repeat()
