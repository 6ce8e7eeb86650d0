"""The GPUs that this task was given, and those that TensorFlow sees."""

from __future__ import annotations

from trainer.runtime.config import RuntimeEnv
from trainer.runtime.errors import ConfigError
from trainer.runtime.logs import log


def check(settings: RuntimeEnv) -> None:
    """Make sure that TensorFlow sees as many GPUs as this task was given.

    Without that check it would train on the CPU, a hundred times slower, and hold the GPU all the same.

    Raises:
        ConfigError: it sees fewer.

    """
    if not settings.gpus:
        return
    import tensorflow as tf

    # Lists them without touching any: a device that is in use can't be set up by a strategy any more.
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen >= settings.gpus:
        return
    if settings.gpus_optional:
        log.info("warning: the job asks for %d GPUs and TensorFlow sees %d: going on without", settings.gpus, seen)
        return
    built = "" if tf.test.is_built_with_cuda() else "; this TensorFlow is built without GPU support"
    raise ConfigError(
        f"TRAINER_GPUS: got {settings.gpus}: TensorFlow sees {seen} GPUs here{built}: "
        "set image to one with GPU support that fits the node's driver, or set gpus to 0"
    )
