"""Read the records of a run that restarts ten times, and print how often this process read each one.

Usage: python -m tests.integration.records OneDevice|Mirrored|MultiWorkerMirrored

Files of 320 records are read for two epochs. The output is JSON: the number of files -> [counts after one epoch, counts
after two].
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainer import inputs
from trainer.engine.pipelines import pipeline_function
from trainer.runtime.config import TrainerConfig
from trainer.task import DataContext, Task

RECORDS, BATCH = 320, 8
# Each segment but the first begins with a restart. Their sum is two epochs, and one restart is at the end of the first.
SEGMENTS = (3, 1, 9, 14, 5, 8, 2, 17, 6, 11, 4)
FILES = (1, 8, 64)


class Records(Task):
    def model(self) -> Any: ...
    def optimizer(self) -> Any: ...
    def loss(self, labels: Any, outputs: Any) -> Any: ...

    def dataset(self, context: DataContext, split: str) -> Any:
        paths = inputs.find_files(context.data_dir, "train-*")
        numbers = inputs.read_records(paths, context, shuffle=50).repeat().map(tf.strings.to_number)
        return numbers.batch(context.batch_size, drop_remainder=True).map(lambda each: (each, each)).prefetch(2)


def written(files: int) -> str:
    folder = Path(tempfile.mkdtemp())
    for file in range(files):
        with tf.io.TFRecordWriter(str(folder / f"train-{file:02}")) as writer:
            for record in range(file, RECORDS, files):
                writer.write(str(record).encode())
    return str(folder)


def read(strategy: Any, folder: str) -> list[list[int]]:
    """Return how often each record was read after one epoch and after two."""
    counts, found, step = [0] * RECORDS, [], 0
    settings = TrainerConfig(task="records", batch_size=BATCH, seed=7)
    for steps in SEGMENTS:
        pipeline = pipeline_function(
            Records({}),
            settings,
            replicas=strategy.num_replicas_in_sync,
            data_dir=folder,
            seed=settings.seed,
            step=step,
        )
        batches = iter(strategy.distribute_datasets_from_function(pipeline))
        for _ in range(steps):
            for part in strategy.experimental_local_results(next(batches)[0]):
                for record in part.numpy().astype(int):
                    counts[record] += 1
            step += 1
            if step * BATCH % RECORDS == 0:
                found.append(list(counts))
    return found


def main(name: str) -> None:
    if name == "OneDevice":
        strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    elif name == "Mirrored":
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    print(json.dumps({files: read(strategy, written(files)) for files in FILES}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
