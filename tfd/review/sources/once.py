"""Values that several threads need and one of them computes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Once(Generic[Value]):
    """Computes each value once. The first thread that asks computes it, and the others wait."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[Hashable, Future[Value]] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Return whether the value is known, or a thread computes it."""
        return key in self._found

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the value of a key. An error of `compute` is raised each time that the key is asked for."""
        with self._lock:
            is_new = key not in self._found
            future = self._found.setdefault(key, Future())
        if is_new:
            try:
                future.set_result(compute())
            except BaseException as error:
                future.set_exception(error)
        return future.result()
