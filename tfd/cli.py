"""The group of all `tfd` commands; each command is a module of `tfd.commands`."""

from __future__ import annotations

import click

from tfd import __version__
from tfd.commands import check, logs, new, review, run, status, tensorboard


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfd")
def main() -> None:
    """Check, run, review and observe the training runs that job files describe."""


for module in (check, run, new, review, status, logs, tensorboard):
    main.add_command(module.command)
