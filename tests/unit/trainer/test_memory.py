"""What TensorFlow does to the C library's allocator is undone."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource, sys
import tensorflow as tf
from trainer.runtime.malloc import keep_large_blocks

strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
data = iter(strategy.distribute_datasets_from_function(lambda _: tf.data.Dataset.range(10**9)))
a = tf.random.uniform([512, 512])  # 1 MiB

@tf.function
def step(number):
    x = a
    for _ in range(8):
        x = tf.linalg.matmul(x, a) * 0.004
    return tf.reduce_sum(x) + tf.cast(number, tf.float32)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        float(step(next(data)))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20

faults()
print(faults())
keep_large_blocks()
faults()
print(faults())
"""


def test_large_tensors_are_not_mapped_anew_in_each_step() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240, check=True)
    left_alone, kept = map(float, done.stdout.split())
    assert left_alone > 1000, "TensorFlow no longer does it: trainer/runtime/malloc.py may go"
    assert kept < left_alone / 10
