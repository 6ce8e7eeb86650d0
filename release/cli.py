"""The command `python -m release publish|verify|rehearse`."""

from __future__ import annotations

from pathlib import Path

import click

from devcluster.cli import DevclusterGroup, exclusive, require_running
from devcluster.paths import REGISTRY, cache
from devcluster.repository import chart_version
from release import build, platform, registry, rehearsal, walkthrough
from release.contents import IMAGES, charts
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
    build.check_checkout()
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


@main.command("walkthrough")
@click.option("--platform", "on_cluster", is_flag=True, help="The page of a platform engineer, on `make cluster`.")
def walkthrough_command(on_cluster: bool) -> None:
    """Follow the page of an ML engineer on an empty Debian machine, with the packages and charts of this checkout.

    The page of a platform engineer also needs the images of `make release-rehearsal CLUSTER=1`.
    """
    rehearsal.check()
    folder = cache() / "release" / "walkthrough"
    build.new_folder(folder)
    build.build_packages(folder)
    for chart in charts():
        build.chart_archive(chart, folder)
    if on_cluster:
        require_running()
        platform.follow(folder)
    else:
        walkthrough.engineer(folder)


@main.command("rehearse")
@click.option("--image", "images", multiple=True, type=click.Choice(IMAGES), default=LOCAL_IMAGES, show_default=True,
              help="Only this image. Repeatable.")  # fmt: skip
@click.option("--cluster", "on_cluster", is_flag=True, help="Use the registry of `make cluster` and train there.")
def rehearse_command(images: tuple[str, ...], on_cluster: bool) -> None:
    """Run the release on this machine; show that changed artifacts are refused.

    The base image is Debian instead of the image of the Dockerfile, and a new key signs. Everything else is the same.
    """
    rehearsal.check()
    with exclusive("release"):
        if on_cluster:
            require_running()
            check_images(images)
            found = rehearsal.rehearse(REGISTRY, images)
            install(found)
            platform.follow(rehearsal.files())
        else:
            with registry.local(cache() / "release" / "registry") as address:
                found = rehearsal.rehearse(address, images)
    click.echo(f"The rehearsal of {chart_version()} passed: {len(found)} images and charts, and the packages.")


def _plan(registry_name: str, identity: str) -> Plan:
    return Plan(registry_name, IMAGES, Signer(identity=identity), identity, FOLDER)
