"""A plain TensorFlow program for one or many workers. It does not import this project: copy it and change it.

    python own_script.py                      trains alone
    TF_CONFIG='{...}' python own_script.py    trains as one of the workers that TF_CONFIG names, one process per worker

It learns y = 3a - 2b + 1 from synthetic data, so that you can check the result. After a restart it continues from its
newest checkpoint in $RUN_DIR/checkpoints; every worker must see that directory.
"""

import os
import tempfile

import keras
import tensorflow as tf

STEPS = 300
BATCH = 64  # over all workers
CHECKPOINT_EVERY = 100
CHECKPOINTS = f"{os.environ.get('RUN_DIR', 'run')}/checkpoints"

# This line must come first: it reads TF_CONFIG, starts the server of this worker and waits for the other workers.
strategy = tf.distribute.MultiWorkerMirroredStrategy()
resolver = strategy.cluster_resolver
is_first = resolver is None or resolver.task_type in (None, "chief") or (
    resolver.task_type == "worker" and resolver.task_id == 0
)  # fmt: skip


def examples(context: tf.distribute.InputContext) -> tf.data.Dataset:
    """Return the infinite data shard of this worker: batches of `(inputs [batch, 2], targets [batch, 1])`."""
    inputs = tf.random.stateless_uniform([4096, 2], seed=[1, 2], minval=-1.0, maxval=1.0)
    targets = 3.0 * inputs[:, :1] - 2.0 * inputs[:, 1:] + 1.0
    data = tf.data.Dataset.from_tensor_slices((inputs, targets))
    data = data.shard(context.num_input_pipelines, context.input_pipeline_id)
    return data.shuffle(4096).repeat().batch(context.get_per_replica_batch_size(BATCH))


with strategy.scope():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(model.trainable_variables)


def replica_step(batch: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Take one step on one replica's part of the batch; return its part of the loss."""
    inputs, targets = batch
    with tf.GradientTape() as tape:
        errors = tf.reduce_sum((model(inputs, training=True) - targets) ** 2, axis=1)
        loss = tf.nn.compute_average_loss(errors, global_batch_size=BATCH)
    # Keras sums the gradients over all replicas.
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


@tf.function
def train_step(iterator: tf.data.Iterator) -> tf.Tensor:
    """Take one step on all replicas; return the loss."""
    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, (next(iterator),)), axis=None)


# `fit` of Keras 3 does not work with this strategy, so this script has its own loop.
checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
# All workers save together, so all must call save. Only one may write to the shared directory.
directory = CHECKPOINTS if is_first else tempfile.mkdtemp()
manager = tf.train.CheckpointManager(checkpoint, directory, max_to_keep=2, checkpoint_name="ckpt")
if newest := tf.train.latest_checkpoint(CHECKPOINTS):
    checkpoint.restore(newest)
    tf.print(f"continuing from {newest}")

batches = iter(strategy.distribute_datasets_from_function(examples))
for step in range(int(optimizer.iterations.numpy()) + 1, STEPS + 1):
    loss = train_step(batches)
    if step % CHECKPOINT_EVERY == 0 or step == STEPS:
        manager.save(checkpoint_number=step)
        tf.print(f"step {step}/{STEPS} loss {float(loss):.6f}")

(a, b), (c,) = model.layers[-1].kernel.numpy()[:, 0], model.layers[-1].bias.numpy()
tf.print(f"learned y = {a:.2f}a + {b:.2f}b + {c:.2f}")
