"""Install the released chart on the cluster of `make cluster`, which pulls the released images."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from devcluster import storage
from devcluster.kube import apply, kubectl
from devcluster.paths import CHECKOUT, state
from devcluster.shell import DevclusterError, refusal, run
from release.contents import CHART, PUBLIC, Artifact

NAMESPACE, RUN = "release-rehearsal", "digits"
MINUTES = 10
IMAGES = {"image": "trainer", "tensorboard.image": "tensorboard"}
"""Key of the job file -> name of the released image."""


def check_images(images: Sequence[str]) -> None:
    """Raise DevclusterError if the images lack one of the example."""
    if missing := [name for name in IMAGES.values() if name not in images]:
        got, fix = f"{len(images)} images without {missing[0]}", "Name these images as well, or none."
        raise DevclusterError(refusal("--image", got, f"{' and '.join(IMAGES.values())} with --cluster", fix))


def install(published: Sequence[Artifact]) -> None:
    """Train an example with the chart and the images of the release, all by digest.

    The job names the images at their public address. The nodes pull that address from the registry of the cluster.

    Args:
        published: the images and charts, in the registry of the cluster.

    """
    found = {each.name.rpartition("/")[2]: each for each in published}
    images = {key: f"{PUBLIC}/{name}@{found[name].digest}" for key, name in IMAGES.items()}
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    storage.claim(NAMESPACE, "runs")
    example = CHECKOUT / "jobs" / "examples" / "digits-one-device.yaml"
    settings = [word for key, image in images.items() for word in ("--set", f"{key}={image}")]
    environment = os.environ | {"KUBECONFIG": f"{state()}/kubeconfig"}
    chart = f"oci://{found[CHART.name].reference}"
    try:
        run(["helm", "install", RUN, chart, "--plain-http", "-n", NAMESPACE, "-f", example, *settings], env=environment)
        kubectl("-n", NAMESPACE, "wait", "--for=condition=Complete", f"job/{RUN}-chief", f"--timeout={MINUTES}m")
        click.echo(f"trained   {RUN} with {chart} and {images['image']}")
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        kubectl("delete", "persistentvolume", f"{NAMESPACE}-runs", "--wait=false", "--ignore-not-found")
