"""A plain TensorFlow program for parameter servers. It imports nothing of this project, so you can copy and change it.

    python -m trainer -- own_ps_script.py        runs it on the chief; the other tasks serve until it ends
    TF_CONFIG='{...}' python own_ps_script.py    runs it alone: start a tf.distribute.Server for each ps and worker

It learns y = 3a - 2b + 1 from synthetic data, so that you can check the result. After a restart it continues from its
newest checkpoint in $RUN_DIR/checkpoints, which only the chief must see.
"""

import os

import keras
import tensorflow as tf

STEPS = 300
BATCH = 64  # per step; each step runs on one worker
CHECKPOINT_EVERY = 100
CHECKPOINTS = f"{os.environ.get('RUN_DIR', 'run')}/checkpoints"

strategy = tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver())
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)


def examples(_: tf.distribute.InputContext) -> tf.data.Dataset:
    """Return the infinite data of one worker, in its own order: `(inputs [batch, 2], targets [batch, 1])`."""
    inputs = tf.random.stateless_uniform([4096, 2], seed=[1, 2], minval=-1.0, maxval=1.0)
    targets = 3.0 * inputs[:, :1] - 2.0 * inputs[:, 1:] + 1.0
    return tf.data.Dataset.from_tensor_slices((inputs, targets)).shuffle(4096).repeat().batch(BATCH)


with strategy.scope():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(model.trainable_variables)
    done = tf.Variable(0, dtype=tf.int64, trainable=False)

# Keras 3 reads, adds and writes to count iterations, so concurrent workers would lose some counts.
iterations = optimizer.iterations.value
optimizer.iterations.assign_add = lambda delta: iterations.assign_add(tf.cast(delta, iterations.dtype))


def replica_step(batch: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Take one step on one worker; return the loss."""
    inputs, targets = batch
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(inputs, training=True) - targets) ** 2)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    done.assign_add(1)
    return loss


@tf.function
def train_step(iterator: tf.data.Iterator) -> tf.Tensor:
    """Take one step on a free worker; return the loss."""
    return strategy.run(replica_step, (next(iterator),))


# The chief reads and writes the checkpoints. By default every ps would write its own part.
options = tf.train.CheckpointOptions(experimental_io_device="/job:chief/replica:0/task:0/device:CPU:0")
checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, done=done)
manager = tf.train.CheckpointManager(checkpoint, CHECKPOINTS, max_to_keep=2, checkpoint_name="ckpt")
if manager.latest_checkpoint:
    checkpoint.restore(manager.latest_checkpoint, options=options)
    tf.print(f"continuing from {manager.latest_checkpoint}")

batches = iter(coordinator.create_per_worker_dataset(lambda: strategy.distribute_datasets_from_function(examples)))
while (step := int(done.numpy())) < STEPS:
    for _ in range(min(CHECKPOINT_EVERY - step % CHECKPOINT_EVERY, STEPS - step)):
        loss = coordinator.schedule(train_step, (batches,))
    coordinator.join()  # another worker repeats the step of a worker that died
    manager.save(checkpoint_number=int(done.numpy()), options=options)
    tf.print(f"step {int(done.numpy())}/{STEPS} loss {float(loss.fetch()):.6f}")

(a, b), (c,) = model.layers[-1].kernel.numpy()[:, 0], model.layers[-1].bias.numpy()
tf.print(f"learned y = {a:.2f}a + {b:.2f}b + {c:.2f}")
