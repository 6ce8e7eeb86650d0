"""Follow the page of a platform engineer on the cluster of `make cluster`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import argocd, images, storage
from devcluster.kube import apply, kubectl
from devcluster.paths import CHECKOUT, REGISTRY, state, write
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError, refusal, run
from release import walkthrough
from release.contents import PUBLIC
from release.machine import USER

TEAM, STORAGE_CLASS, SIZE = "vision", "nfs", "100Gi"
"""The team and its storage on the page."""
PROJECT = PUBLIC.partition("/")[2]
CHARTS = f"oci://{REGISTRY}/{PROJECT}/charts"
NAME = "walkthrough"
GIT = """\
[url "file:///srv/runs.git"]
insteadOf = https://github.com/example-org/runs
[url "file:///srv/product.git"]
insteadOf = https://github.com/tf-distributed/tf-distributed
[safe]
directory = *
"""
"""The settings with which git finds the repositories of the page."""


def follow(folder: Path) -> None:
    """Follow the page with the images and charts of a rehearsal, which are in the registry of the cluster.

    The page has addresses that do not exist: those of example-org and, before the first release, those of this project.
    git and Argo CD find the repositories in folders of this machine, and Argo CD takes the charts from the registry.

    Args:
        folder: the packages and the archives of the charts.

    Raises:
        DevclusterError: the registry has no images, or the page is wrong.

    """
    page = walkthrough.PLATFORM_PAGE
    [example] = set(re.findall(r"@sha256:[0-9a-f]{64}", page.read_text(encoding="utf-8")))
    found = images.published(f"{PROJECT}/trainer", chart_version())
    if not found:
        fix = "Run make release-rehearsal CLUSTER=1."
        raise DevclusterError(refusal(REGISTRY, "no released image", f"{PROJECT}/trainer:{chart_version()}", fix))
    with tempfile.TemporaryDirectory(prefix="tfd-platform-") as temporary, _cluster() as repository:
        config = Path(temporary, "kubeconfig")
        shutil.copyfile(state() / "kubeconfig", config)
        more = {
            config: f"/home/{USER}/.kube/config",
            (state() / "bin" / "kubectl").resolve(): "/usr/local/bin/kubectl",
            repository: "/srv/runs.git",
            _product(Path(temporary, "product.git")): "/srv/product.git",
            write(Path(temporary, "gitconfig"), GIT): "/etc/gitconfig",
        }
        values = "--values argocd/values.yaml"
        places = f"--set repository=file://{repository} --set chart.oci={CHARTS} --set pollSeconds=10"
        replaced = {values: f"{values} {places}", example: f"@{found.partition('@')[2]}"}
        with walkthrough.reader(folder, more) as machine:
            walkthrough.follow(page, machine, replaced)


def _product(bare: Path) -> Path:
    """Clone this checkout, with the tag of its version."""
    run(["git", "clone", "--quiet", "--bare", CHECKOUT, bare])
    run(["git", "-C", bare, "tag", "--force", f"tf-distributed-{chart_version()}", "HEAD"])
    return bare


@contextmanager
def _cluster() -> Iterator[Path]:
    """Give the cluster what the page requires, and yield the empty repository on its git server."""
    shutil.rmtree(argocd.repository(NAME))
    repository = argocd.repository(NAME)
    run(["chmod", "--recursive", "a+rwX", repository])
    _remove()
    labels = {"argocd.argoproj.io/secret-type": "repository"}
    address = {"type": "oci", "url": f"{CHARTS}/tf-distributed", "name": NAME, "insecureOCIForceHttp": "true"}
    metadata = {"name": NAME, "namespace": argocd.NAMESPACE, "labels": labels}
    volume = storage.volume(f"{TEAM}-runs", STORAGE_CLASS, (TEAM, "runs"))
    volume["spec"]["capacity"] = {"storage": SIZE}
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": address}, volume)
    try:
        yield repository
    finally:
        _remove()


def _remove() -> None:
    """Delete what the page and this module create in the cluster."""
    gone = ("--ignore-not-found",)
    for kind, names in {
        "applicationset": [f"runs-{TEAM}", f"workbenches-{TEAM}"],
        "application": [f"{TEAM}-digits-1"],
        "appproject": [TEAM],
        "secret": [NAME],
    }.items():
        kubectl("delete", kind, *names, "-n", argocd.NAMESPACE, *gone)
    kubectl("delete", "namespace", TEAM, *gone)
    kubectl("delete", "persistentvolume", f"{TEAM}-runs", *gone)
