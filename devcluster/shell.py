"""Commands, waiting and what one sees meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")
START = time.monotonic()
POLL = 0.1


class ClusterError(Exception):
    """Something the user can read and act on; the command ends with exit code 1."""


class DiedError(ClusterError):
    """A process that something waits for has ended: waiting on is of no use."""


def say(message: str) -> None:
    """Tell the user about progress, with the seconds since the command began."""
    click.echo(f"cluster: {time.monotonic() - START:6.1f} s  {message}", err=True)


def run(command: Sequence[str | Path], given: str | None = None, env: dict[str, str] | None = None) -> str:
    """Return what a command prints; if it fails, raise with all it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=given, env=env, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(words)}\nleft with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_for(what: str, probe: Callable[[], T | None], seconds: float, hint: str = "") -> T:
    """Return the first thing `probe` returns that is true; it may raise ClusterError while it is too early."""
    end = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if found := probe():
                return found
        except DiedError:
            raise
        except ClusterError as error:
            last = str(error)
        if time.monotonic() > end:
            raise ClusterError("\n".join(filter(None, (f"gave up after {seconds:g} s: {what}", last, hint))))
        time.sleep(POLL)
