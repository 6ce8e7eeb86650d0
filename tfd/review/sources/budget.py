"""The time of a review, and errors of the review itself: both end it with the name of a file."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tfd.jobfile.helm import HelmError
from tfd.jobfile.registry import RegistryError
from tfd.review.sources.git import GitError
from tfd.text import refusal

# A pull request that changes 200 job files takes 20 s on two cores.
SECONDS = 60


class ReviewError(Exception):
    """The review cannot judge the merge; the message names the file at which it stopped."""


@dataclass(frozen=True)
class Budget:
    """The time that a review may take. Parsing a file has limits of its own, so a check between files is enough."""

    seconds: float = SECONDS
    _start: float = field(default_factory=time.monotonic)

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Work on a file.

        Raises:
            ReviewError: the time is over, or the work raises an error that it should not raise.

        """
        if time.monotonic() - self._start > self.seconds:
            got, fix = f"a review of more than {self.seconds} s", "Split the pull request or make the file smaller."
            raise ReviewError(refusal(path, got, "less", fix))
        try:
            yield
        except (ReviewError, GitError, HelmError, RegistryError):
            raise
        except Exception as error:
            raise failed(error, path) from error


def failed(error: Exception, path: str = "") -> ReviewError:
    """Return an unexpected error without its text, which may hold a secret."""
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f" at {path}" if path else ""
    kind = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
    return ReviewError(f"The review itself failed{where} ({kind}). Report this as a bug of tfd.")
