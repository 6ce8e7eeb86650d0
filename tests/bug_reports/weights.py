import keras
import numpy as np
import tensorflow as tf

from trainer.task import Task


class Flat(Task):
    shape = ()

    def model(self):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])

    def optimizer(self):
        return keras.optimizers.SGD(0.1)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        x = np.random.RandomState(0).rand(60, 2).astype("float32")
        odd = np.arange(60) % 2 == 1
        weights = np.where(odd, 1.0, 0.0).astype("float32").reshape((60, *self.shape))
        labels = np.where(odd, 3.0, 100.0).astype("float32")  # those that weigh 0 are wild
        data = tf.data.Dataset.from_tensor_slices((x, labels, weights))
        if split == "train":
            return data.repeat().batch(context.batch_size, drop_remainder=True)
        return data.batch(context.batch_size)


class Column(Flat):
    shape = (1,)
