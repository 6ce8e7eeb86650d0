"""A layer that uses a table which no object of the model holds, as tokenizers and vocabularies of a module do."""

import keras
import tensorflow as tf

from trainer.task import Task

WORDS = []


class Lookup(keras.layers.Layer):
    def call(self, ids):
        return WORDS[0].lookup(ids)

    def compute_output_spec(self, ids):
        return keras.KerasTensor(ids.shape, dtype="float32")


class Table(Task):
    def model(self):
        with tf.init_scope():
            keys, values = tf.constant([0, 1, 2], tf.int64), tf.constant([0.5, 1.5, 2.5])
            WORDS[:] = [tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1.0)]
        ids = keras.Input((3,), dtype="int64")
        return keras.Model(ids, keras.layers.Dense(1)(Lookup()(ids)))

    def optimizer(self):
        return keras.optimizers.SGD(0.01)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        x = tf.random.stateless_uniform([64, 3], [1, 2], 0, 3, tf.int64)
        data = tf.data.Dataset.from_tensor_slices((x, tf.cast(tf.reduce_sum(x, axis=1), tf.float32)))
        if split == "train":
            return data.repeat().batch(context.batch_size, drop_remainder=True)
        return data.batch(context.batch_size)
