"""The command `python -m release publish|verify|rehearse`."""

from __future__ import annotations

from pathlib import Path

import click

from devcluster.cli import DevclusterGroup, exclusive, require_running
from devcluster.paths import REGISTRY, cache
from devcluster.repository import chart_version
from release import registry, rehearsal
from release.contents import IMAGES
from release.install import check_images, install
from release.publishing import Plan, publish, verify
from release.signing import Signer, TamperedError

FOLDER = Path("build/release")
LOCAL_IMAGES = ("trainer", "workbench", "tensorboard")


@click.group(cls=DevclusterGroup)
def main() -> None:
    """Publish, verify or rehearse a release of the version in Chart.yaml."""


@main.command("publish")
@click.argument("registry_name", metavar="REGISTRY")
@click.option("--identity", required=True, help="Identity of the workflow that builds and signs.")
def publish_command(registry_name: str, identity: str) -> None:
    """Publish to REGISTRY; sign with the identity of a workflow on GitHub.

    The packages and their signatures are written to build/release. Prints NAME@DIGEST of each image and chart.
    """
    for artifact in publish(_plan(registry_name, identity)):
        click.echo(artifact.reference)


@main.command("verify")
@click.argument("registry_name", metavar="REGISTRY")
@click.option("--identity", required=True, help="Identity of the workflow that signed.")
def verify_command(registry_name: str, identity: str) -> None:
    """Verify the release in REGISTRY and the packages in build/release."""
    try:
        for artifact in verify(_plan(registry_name, identity)):
            click.echo(f"verified  {artifact.reference}")
    except TamperedError as error:
        raise click.ClickException(str(error)) from error


@main.command("rehearse")
@click.option("--image", "images", multiple=True, type=click.Choice(IMAGES), default=LOCAL_IMAGES, show_default=True,
              help="Only this image. Repeatable.")  # fmt: skip
@click.option("--cluster", "on_cluster", is_flag=True, help="Use the registry of `make cluster` and train there.")
def rehearse_command(images: tuple[str, ...], on_cluster: bool) -> None:
    """Run the release on this machine; show that changed artifacts are refused.

    The base image is Debian instead of the image of the Dockerfile, and a new key signs. Everything else is the same.
    """
    rehearsal.check()
    with exclusive("images"):
        if on_cluster:
            require_running()
            check_images(images)
            found = rehearsal.rehearse(REGISTRY, images)
            install(found)
        else:
            with registry.local(cache() / "release" / "registry") as address:
                found = rehearsal.rehearse(address, images)
    click.echo(f"The rehearsal of {chart_version()} passed: {len(found)} images and charts, and the packages.")


def _plan(registry_name: str, identity: str) -> Plan:
    return Plan(registry_name, IMAGES, Signer(identity=identity), identity, FOLDER)
