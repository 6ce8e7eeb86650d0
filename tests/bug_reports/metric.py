import keras
import numpy as np
import tensorflow as tf

from trainer.task import Task


class Line(Task):
    def model(self):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    def optimizer(self):
        return keras.optimizers.SGD(0.1)

    def loss(self, labels, outputs):
        return tf.square(labels - outputs[:, 0])

    def dataset(self, context, split):
        x = tf.random.stateless_uniform([64, 3], [1, 2])
        data = tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1)))
        if split == "train":
            return data.repeat().batch(context.batch_size, drop_remainder=True)
        return data.batch(context.batch_size)


class Numpy(keras.metrics.Metric):
    """As one writes it around a function of another library."""

    def __init__(self):
        super().__init__(name="error")
        self.sum, self.count = 0.0, 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.sum += float(np.abs(y_true.numpy() - y_pred.numpy()[:, 0]).sum())
        self.count += len(y_true)

    def result(self):
        return self.sum / max(1, self.count)

    def reset_state(self):
        self.sum, self.count = 0.0, 0


class Counter(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name="batches")
        self.count = 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count += 1

    def result(self):
        return self.count

    def reset_state(self):
        self.count = 0


class NumpyMetric(Line):
    def metrics(self):
        return [Numpy()]


class PythonMetric(Line):
    def metrics(self):
        return [Counter()]
