import keras
import tensorflow as tf

from trainer.task import Task


class Plain(Task):
    """A plain regression with noise: nothing unusual in it."""

    def model(self):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1, dtype="float32")])

    def optimizer(self):
        return keras.optimizers.SGD(1e-2)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        if split == "eval":
            return None
        x = tf.random.stateless_normal([4096, 3], [1, 2])
        y = tf.reduce_sum(x, axis=1) + tf.random.stateless_normal([4096], [3, 4])
        data = tf.data.Dataset.from_tensor_slices((x, y)).shard(context.pipelines, context.pipeline)
        return data.shuffle(4096, seed=context.seed).repeat().batch(context.batch_size, drop_remainder=True)
