"""Worker 1 has fewer files' worth of data than worker 0 and nobody repeats; prints what the model is fed."""

import keras
import tensorflow as tf

from trainer.task import Task


class Uneven(Task):
    def model(self):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

    def optimizer(self):
        return keras.optimizers.SGD(0.0)

    def loss(self, labels, outputs):
        return labels + 0.0 * outputs[:, 0]  # the reported loss is the mean label: 1.0 as long as all examples are real

    def dataset(self, context, split):
        batches = 60 if context.pipeline == 0 else 20
        data = tf.data.Dataset.from_tensors((tf.ones([2]), 1.0)).repeat(batches * context.batch_size)
        return data.batch(context.batch_size, drop_remainder=True)
