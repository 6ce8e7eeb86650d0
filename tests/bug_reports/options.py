import keras
import numpy as np
import tensorflow as tf

from trainer.task import Task


class Line(Task):
    def model(self):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

    def optimizer(self):
        return keras.optimizers.SGD(0.1)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        x = np.random.RandomState(0).rand(60, 2).astype("float32")
        data = tf.data.Dataset.from_tensor_slices((x, x.sum(1)))
        if split == "train":
            return data.repeat().batch(context.batch_size, drop_remainder=True)
        return data.batch(context.batch_size)


class Accumulate(Line):
    def optimizer(self):
        return keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)


class Overwrite(Line):
    def optimizer(self):
        return keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=10)


class SynchronizedJit(Line):
    def model(self):
        layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(synchronized=True), keras.layers.Dense(1)]
        return keras.Sequential([keras.Input((2,)), *layers])
