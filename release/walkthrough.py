"""Follow a page of the documentation word by word, on an empty machine, with the packages and charts of a release."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from devcluster.build import go_module
from devcluster.cli import exclusive
from devcluster.paths import CHECKOUT, write
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError, refusal, run
from release import pages, registry
from release.contents import PUBLIC, charts
from release.machine import Machine, empty_machine

PAGE = CHECKOUT / "docs" / "get-started.md"
PLATFORM_PAGE = CHECKOUT / "docs" / "platform" / "install.md"
ADDRESS = "127.0.0.2"
"""Where the registry of the machine is, which has the public name."""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TRUSTED = "/usr/local/share/trusted.crt"
"""Where the empty machine has the authorities of this one, and that of the registry."""


def engineer(folder: Path) -> None:
    """Follow the page of an ML engineer.

    Args:
        folder: the packages and the archives of the charts.

    """
    with reader(folder) as empty:
        follow(PAGE, empty)


@contextmanager
def reader(folder: Path, more: Mapping[Path, str] | None = None) -> Iterator[Machine]:
    """Yield an empty machine.

    It has three things that are not from Debian, because no release is published yet. These are the packages of the
    release where pip finds them, a registry with the charts at the public address, and Helm.

    Args:
        folder: the packages and the archives of the charts.
        more: more files and folders of this machine -> their paths there.

    """
    with (
        exclusive("walkthrough"),
        tempfile.TemporaryDirectory(prefix="tfd-walkthrough-") as temporary,
        _public_registry(Path(temporary), folder) as trusted,
    ):
        pip = f"[global]\ncert = {TRUSTED}\nfind-links = /packages\n"
        files = {
            folder: "/packages",
            write(Path(temporary, "pip.conf"), pip): "/etc/pip.conf",
            go_module("helm") / "helm": "/usr/local/bin/helm",
            trusted: TRUSTED,
            **(more or {}),
        }
        hosts = {PUBLIC.partition("/")[0]: ADDRESS}
        with empty_machine(files, {"SSL_CERT_FILE": TRUSTED}, hosts) as empty:
            yield empty


def follow(page: Path, machine: Machine, replaced: Mapping[str, str] | None = None) -> None:
    """Follow each step of a page, and compare what the commands print with what the page shows.

    Args:
        page: the page.
        machine: the machine of the reader.
        replaced: texts of the page that a reader replaces -> what stands there instead.

    Raises:
        DevclusterError: a command fails, or prints something else.

    """
    begin = time.monotonic()
    name = page.relative_to(CHECKOUT)
    for step in pages.steps(page, replaced):
        started = time.monotonic()
        if step.skipped:
            click.echo(f"skipped   {name}:{step.line}: {step.skipped}")
        elif step.path:
            machine.write(step.path, step.text)
        else:
            _play(f"{name}:{step.line}", step, machine)
            click.echo(f"followed  {name}:{step.line} in {time.monotonic() - started:.0f} s: {_first_line(step)}")
    click.echo(f"followed  {name} in {(time.monotonic() - begin) / 60:.1f} min")


def _play(place: str, step: pages.Step, machine: Machine) -> None:
    try:
        printed = machine.run(step.text)
    except DevclusterError as error:
        raise DevclusterError(f"{place}: the commands fail.\n{step.text}\n{error}") from error
    if not step.shows(printed):
        got, expected = f"the output\n{printed}", f"the output\n{step.output}"
        raise DevclusterError(refusal(place, got, expected, "Set the output of the page, or change the product."))


def _first_line(step: pages.Step) -> str:
    first, _, rest = step.text.strip().partition("\n")
    return f"{first} ..." if rest else first


@contextmanager
def _public_registry(folder: Path, archives: Path) -> Iterator[Path]:
    """Run a registry that has the charts, and yield the authorities that a machine must trust."""
    host, _, project = PUBLIC.partition("/")
    tls = registry.certificate(folder, host, ADDRESS)
    with registry.local(folder / "registry", f"{ADDRESS}:443", tls):
        for chart in charts():
            archive = archives / f"{chart.name}-{chart_version()}.tgz"
            run(["helm", "push", archive, f"oci://{ADDRESS}/{project}/charts", "--ca-file", tls.path])
        yield write(folder / "trusted.crt", AUTHORITIES.read_text() + tls.path.read_text())
