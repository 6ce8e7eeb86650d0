"""Runs of the real trainer, each process a real one."""

from tests.local_run import local_run  # noqa: F401
