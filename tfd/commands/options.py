"""What the commands share: exit codes, how an error ends a command, and how a run is named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from tfd.remote import name
from tfd.remote.kubectl import ClusterError, Kubectl, NotFoundError
from tfd.text import visible

REFUSED = 1
"""An input is refused, or what it names does not exist."""
UNABLE = 2
"""The command could not do its work. click exits with 2 as well, for wrong options."""

Errors = tuple[type[Exception], ...]
Command = TypeVar("Command", bound=Callable[..., Any])


@contextmanager
def ending(*, refused: Errors = (), unable: Errors = ()) -> Iterator[None]:
    """Print an error of these types on standard error, then exit with REFUSED or UNABLE."""
    try:
        yield
    except (*refused, *unable) as error:
        click.echo(visible(str(error), lines=True), err=True)
        sys.exit(REFUSED if isinstance(error, refused) else UNABLE)


def run_in_cluster(command: Command) -> Command:
    """Add the argument RUN and the option --namespace."""
    option = click.option(
        "-n", "--namespace", help="Namespace of the run. Default: the team in RUN, else that of the current context."
    )
    return option(click.argument("run")(command))


@contextmanager
def cluster(run: str, namespace: str | None) -> Iterator[tuple[Kubectl, str]]:
    """Yield kubectl in the run's namespace and the run's name; end the command when the cluster reports an error."""
    with ending(refused=(NotFoundError,), unable=(ClusterError, name.RunNameError)):
        where, run = name.parse(run, namespace)
        yield Kubectl(where), run
