"""What the commands on a cluster's runs have in common: how a run is named, and the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from tfd.remote import name
from tfd.remote.kubectl import ClusterError, Kubectl, NotFoundError

NOT_FOUND = 1
NO_CLUSTER = 2
Command = TypeVar("Command", bound=Callable[..., Any])


def of_a_run(command: Command) -> Command:
    """Add the argument RUN and the option --namespace."""
    option = click.option("-n", "--namespace", help="Default: the team in RUN, else that of the current context.")
    return option(click.argument("run")(command))


@contextmanager
def asking(run: str, namespace: str | None) -> Iterator[tuple[Kubectl, str]]:
    """Yield kubectl in the run's namespace and the run's name; leave with 1 or 2 when it can't be found or asked."""
    try:
        where, plain = name.parse(run, namespace)
        yield Kubectl(where), plain
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except NotFoundError as error:
        click.echo(str(error), err=True)
        sys.exit(NOT_FOUND)
    except ClusterError as error:
        click.echo(str(error), err=True)
        sys.exit(NO_CLUSTER)
