"""Errors of the task's methods are reported with the name of the method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trainer.runtime import errors, exit_codes
from trainer.runtime.errors import TaskFailed, TrainerExit


@contextmanager
def calling(method: str | Callable[[], str]) -> Iterator[None]:
    """Raise `TaskFailed` with the name of `method` for any error of the task within the block.

    Errors that may pass, such as those of the storage, stay as they are, because a retry may help.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, TrainerExit) or errors.code_for(error) != exit_codes.FAILED:
            raise
        name = method if isinstance(method, str) else method()
        raise TaskFailed(f"{name}: {errors.summary(error)}") from error
