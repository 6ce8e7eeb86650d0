"""A hand-written training loop for the digits task, as the baseline for the trainer.

The loop only runs steps: it has no checkpoints, summaries, status or signal handling. It uses the model, optimizer,
loss and data of the digits task, so both sides compute the same. It prints `MARK STEP SECONDS` at the start and at the
end of the measurement.

    python bench/handwritten.py STRATEGY STEPS WARM_UP BATCH_SIZE
"""

import sys
import time

import tensorflow as tf

from trainer.task import DataContext
from trainer.tasks.digits import Digits

JOIN_EVERY = 100  # ParameterServer: steps between two calls of join, as in a loop that logs the loss


def mark(step: int) -> None:
    """Print `step` and the Unix time in seconds."""
    print(f"MARK {step} {time.time():.6f}", flush=True)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Return the strategy with the name `name`."""
    if name == "MultiWorkerMirrored":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "ParameterServer":
        return tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver())
    return tf.distribute.get_strategy()


def main(name: str, steps: int, warm_up: int, batch_size: int) -> None:
    """Train `steps` steps of `batch_size` examples; the first `warm_up` of them are not measured."""
    strategy = make_strategy(name)
    task = Digits(Digits.defaults)
    with strategy.scope():
        model, optimizer = task.model(), task.optimizer()
        optimizer.build(model.trainable_variables)

    def pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        data = DataContext(
            batch_size=batch_size // strategy.num_replicas_in_sync,
            pipelines=context.num_input_pipelines,
            pipeline=context.input_pipeline_id,
        )
        return task.dataset(data, "train")

    def replica_step(batch: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        images, labels = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(task.loss(labels, model(images, training=True))) / batch_size
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    @tf.function  # type: ignore[untyped-decorator]
    def train_step(iterator: tf.data.Iterator) -> tf.Tensor:
        losses = strategy.run(replica_step, (next(iterator),))
        return losses if name == "ParameterServer" else strategy.reduce("SUM", losses, axis=None)

    if name == "ParameterServer":
        coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        per_worker = coordinator.create_per_worker_dataset(lambda: strategy.distribute_datasets_from_function(pipeline))
        iterator = iter(per_worker)
        for step in range(0, steps, JOIN_EVERY):
            for _ in range(JOIN_EVERY):
                coordinator.schedule(train_step, (iterator,))
            coordinator.join()
            if step + JOIN_EVERY in (warm_up, steps):
                mark(step + JOIN_EVERY)
        return
    iterator = iter(strategy.distribute_datasets_from_function(pipeline))
    for step in range(1, steps + 1):
        loss = train_step(iterator)
        if step in (warm_up, steps):
            float(loss)  # wait until the step has ended
            mark(step)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
