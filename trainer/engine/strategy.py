"""Create the TensorFlow strategy that the job file names."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from trainer import embedding
from trainer.engine import recovery
from trainer.runtime.config import STRATEGIES
from trainer.runtime.errors import ConfigError, one_of
from trainer.runtime.logs import log
from trainer.runtime.types import Strategy


def split_cpu(logical_cpus: int) -> None:
    """Split the CPU into `logical_cpus` devices, so that Mirrored has replicas without GPUs; 0 leaves it unsplit."""
    if logical_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(logical_cpus)]
        tf.config.set_logical_device_configuration(cpu, parts)


def mirrored_cpus(replicas: int) -> Strategy:
    """Return a strategy with `replicas` replicas, each on a logical CPU. Call it before TensorFlow uses a device."""
    [cpu, *_] = tf.config.list_physical_devices("CPU")
    if len(tf.config.get_logical_device_configuration(cpu) or ()) < replicas:
        split_cpu(replicas)
    return tf.distribute.MirroredStrategy([f"/cpu:{index}" for index in range(replicas)])


def make(name: str, *, absent: Collection[int] = ()) -> Strategy:
    """Return the strategy with the name `name`: OneDevice, Mirrored, MultiWorkerMirrored or ParameterServer.

    MultiWorkerMirrored and ParameterServer read TF_CONFIG and block until every task in it answers.

    Args:
        name: The name of the strategy.
        absent: The indexes of the workers that ParameterServer starts without.

    Raises:
        ConfigError: No strategy has this name.

    """
    match name:
        case "OneDevice":
            return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0")
        case "Mirrored":
            devices = tf.config.list_logical_devices("GPU")
            if not devices:
                devices = tf.config.list_logical_devices("CPU")
                log.info("warning: Mirrored found no GPU and runs on %d CPU devices", len(devices))
            return tf.distribute.MirroredStrategy([device.name for device in devices])
        # No code before these two may use a device, because TensorFlow could then not start its servers.
        case "MultiWorkerMirrored":
            return tf.distribute.MultiWorkerMirroredStrategy()
        case "ParameterServer":
            cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            cut = embedding.partitioner(servers=cluster.cluster_spec().num_tasks("ps"))
            if absent:
                return recovery.IncompleteStrategy(cluster, cut, absent)
            return tf.distribute.ParameterServerStrategy(cluster, variable_partitioner=cut)
        case _:
            raise ConfigError("strategy", got=name, expected=one_of(STRATEGIES), fix="Set strategy to one of them")
