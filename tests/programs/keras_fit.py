"""Keras 2 `fit` over several workers, as TensorFlow documents it: BackupAndRestore lets a restarted task continue."""

import os
import time

import numpy as np
import tensorflow as tf

# Keras 2: `fit` of Keras 3 does not work with this strategy.
keras = tf.keras
strategy = tf.distribute.MultiWorkerMirroredStrategy()
inputs = np.random.default_rng(0).random((64, 2)).astype("float32")
data = tf.data.Dataset.from_tensor_slices((inputs, inputs @ [[3.0], [-2.0]])).repeat().batch(16)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
with strategy.scope():
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    model.compile(optimizer="sgd", loss="mse")


class Slow(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        print(f"epoch {epoch}", flush=True)
        time.sleep(1)


model.fit(
    data.with_options(options),
    epochs=8,
    steps_per_epoch=5,
    verbose=0,
    callbacks=[Slow(), keras.callbacks.BackupAndRestore(os.environ["RUN_DIR"] + "/backup")],
)
print("finished", flush=True)
