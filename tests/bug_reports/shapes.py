import keras
import tensorflow as tf

from trainer.task import Task


class Wrong(Task):
    """The model needs 4 features, and the data have 3."""

    def model(self):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])

    def optimizer(self):
        return keras.optimizers.SGD(0.1)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        data = tf.data.Dataset.from_tensors((tf.ones([3]), 1.0))
        data = data.repeat() if split == "train" else data
        return data.batch(context.batch_size, drop_remainder=split == "train")
