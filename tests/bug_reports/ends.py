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

    def data(self):
        x = tf.random.stateless_uniform([64, 3], [1, 2])
        return tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1)))


class Once(Line):
    """No repeat()."""

    def dataset(self, context, split):
        return self.data().batch(context.batch_size, drop_remainder=split == "train")


class Forever(Line):
    """repeat() where both splits pass it."""

    def dataset(self, context, split):
        return self.data().repeat().batch(context.batch_size, drop_remainder=True)
