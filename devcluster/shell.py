"""Running commands, waiting for states and logging progress."""

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


class DevclusterError(Exception):
    """An error for the user; the command prints the message and exits with 1."""


def refusal(key: str, got: str, expected: str, fix: str) -> str:
    """Return the message that refuses an input: `KEY: got VALUE; expected RULE. FIX.`."""
    return f"{key}: got {got}; expected {expected}. {fix}"


class ProcessDiedError(DevclusterError):
    """A process has ended that a wait depends on, so the wait ends at once."""


def log(message: str) -> None:
    """Print a progress message with the seconds since the command began."""
    click.echo(f"devcluster: {time.monotonic() - START:6.1f} s  {message}", err=True)


def run(command: Sequence[str | Path], stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """Return the output of a command; raise DevclusterError with its error output if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, env=env, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip()
        raise DevclusterError(f"{' '.join(words)}\nexited with {done.returncode}: {output}")
    return done.stdout


def wait_for(what: str, probe: Callable[[], T | None], seconds: float, hint: str = "") -> T:
    """Return the first true result of `probe`; a DevclusterError of the probe counts as not yet true."""
    end = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if found := probe():
                return found
        except ProcessDiedError:
            raise
        except DevclusterError as error:
            last = str(error)
        if time.monotonic() > end:
            raise DevclusterError("\n".join(filter(None, (f"Timed out after {seconds:g} s: {what}", last, hint))))
        time.sleep(POLL)
