"""Small runs whose tasks are shell commands: the rules of `tfd run` without TensorFlow's start-up time."""

from tests.integration.local_run import local_run  # noqa: F401
