"""`tfd try`."""

from __future__ import annotations

import os
import sys

import click

from tfd.commands.options import ending
from tfd.local.run import RunError, require_trainer

_HELP = {"-h", "--help"}


@click.command(
    "try",
    short_help="Try a task class on this machine, before a run.",
    add_help_option=False,
    options_metavar="",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="MODULE:CLASS [OPTIONS]")
def command(words: tuple[str, ...]) -> None:
    """Train some steps, evaluate and export a task of the current folder, on one device.

    This is `python -m trainer check` with the Python and TensorFlow of tfd. All options are passed on to it, and
    --help lists them.

    \b
    Exit codes:
      0  The task works.
      1  The task has an error.
      2  Wrong arguments, or TensorFlow is missing.

    Example: tfd try my_package.line:Line --batch-size 32 --data-dir data
    """  # noqa: D301 - click reads the escape
    if not _HELP.intersection(words):
        with ending(unable=(RunError,)):
            require_trainer()
    # Without a process in between, Ctrl-C and the exit code are those of the trainer.
    os.execv(sys.executable, [sys.executable, "-m", "trainer", "check", *words])  # noqa: S606 - there is no shell
