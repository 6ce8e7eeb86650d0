"""A TF 2 program with a coordinator: the chief trains, and workers and parameter servers join."""

import os

import tensorflow as tf

resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
if resolver.task_type in ("worker", "ps"):
    server = tf.distribute.Server(
        resolver.cluster_spec(), job_name=resolver.task_type, task_index=resolver.task_id, protocol="grpc"
    )
    server.join()

with open(os.environ["RUN_DIR"] + ".trained", "a") as file:
    file.write("once\n")
strategy = tf.distribute.ParameterServerStrategy(resolver)
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
with strategy.scope():
    total = tf.Variable(0.0)


@tf.function
def step() -> None:
    total.assign_add(1.0)


for _ in range(100):
    coordinator.schedule(step)
coordinator.join()
print("the total is", total.numpy(), flush=True)
