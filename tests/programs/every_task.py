"""A TF 1 program: every task starts it, and the parameter servers wait indefinitely."""

import json
import os

import tensorflow.compat.v1 as tf

STEPS = int(os.environ.get("STEPS", "20"))

tf.disable_eager_execution()
config = json.loads(os.environ["TF_CONFIG"])
role, index = config["task"]["type"], config["task"]["index"]
cluster = tf.train.ClusterSpec(config["cluster"])
leads = (role, index) == (("chief", 0) if "chief" in config["cluster"] else ("worker", 0))
server = tf.train.Server(cluster, job_name=role, task_index=index)
if role == "ps":
    server.join()

if leads:
    with open(os.environ["RUN_DIR"] + ".trained", "a") as file:
        file.write("once\n")
with tf.device(tf.train.replica_device_setter(cluster=cluster, worker_device=f"/job:{role}/task:{index}")):
    step = tf.train.get_or_create_global_step()
    weight = tf.get_variable("weight", initializer=4.0)
    optimizer = tf.train.GradientDescentOptimizer(0.1)
    train = optimizer.minimize(tf.square(weight - 3.0), global_step=step)

with tf.train.MonitoredTrainingSession(
    master=server.target,
    is_chief=leads,
    checkpoint_dir=os.environ["RUN_DIR"],
    save_checkpoint_secs=None,
    save_checkpoint_steps=5,
    hooks=[tf.train.StopAtStepHook(last_step=STEPS)],
    # No worker waits for another one.
    config=tf.ConfigProto(device_filters=["/job:ps", f"/job:{role}/task:{index}"]),
) as session:
    while not session.should_stop():
        _, now = session.run([train, step])
        print(f"step {now}/{STEPS}", flush=True)
