"""The check that TensorFlow finds the GPUs that this task requests."""

from __future__ import annotations

from trainer.runtime.config import RuntimeEnv
from trainer.runtime.errors import ConfigError, Words
from trainer.runtime.logs import log


def check(settings: RuntimeEnv) -> None:
    """Check that TensorFlow finds at least the number of GPUs in `settings`.

    Without this check, the task would train on the CPU, about a hundred times slower, while it still occupies the GPU.

    Raises:
        ConfigError: TensorFlow finds fewer GPUs, and GPUs are not optional.

    """
    if not settings.gpus:
        return
    import tensorflow as tf

    # This only lists the devices. A strategy cannot configure a device that TensorFlow has already initialized.
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen >= settings.gpus:
        return
    if settings.gpus_optional:
        log.info(
            "warning: the job requests %d GPUs, but TensorFlow found %d: continuing without them", settings.gpus, seen
        )
        return
    built = "" if tf.test.is_built_with_cuda() else " in a TensorFlow without GPU support"
    raise ConfigError(
        "TRAINER_GPUS",
        got=Words(f"{seen} visible GPUs{built}"),
        expected=f"{settings.gpus}",
        fix="Set image to one with GPU support that fits the node's driver, or set gpus: 0",
    )
