"""Repeat what failed because the storage failed for a moment, such as a network file system without its server.

All tries together take less than the timeout of a lease. A longer failure ends the process with an exit code that is
retried.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from trainer.runtime import errors
from trainer.runtime.logs import log

PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between two tries."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def call(action: Callable[[], _Result], what: str) -> _Result:
    """Return the result of `action`. After an error of the storage that may pass, call it again.

    Args:
        action: What to do; it must give the same result when it is done twice.
        what: Names the action in the log, such as `reading PATH`.

    """
    for pause in PAUSES:
        try:
            return action()
        except Exception as error:
            if not errors.is_storage_failure(error):
                raise
            log.info("%s failed, next try in %.1f s: %s", what, pause, errors.summary(error))
        time.sleep(pause)
    return action()


def retried(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return `function`, which takes a path first, with the behavior of `call`."""

    @functools.wraps(function)
    def wrapper(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return call(lambda: function(*args, **kwargs), f"{function.__name__} {args[0]}")

    return wrapper
