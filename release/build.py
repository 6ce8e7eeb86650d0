"""Build the packages, the charts and the images, and push the latter two."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devcluster import images
from devcluster.cli import exclusive
from devcluster.paths import CHECKOUT
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError, log, refusal, run
from release.contents import Artifact


def build_packages(folder: Path) -> None:
    """Build the source distribution, and the wheel from it."""
    uv = run([CHECKOUT / "scripts" / "uv.sh"]).strip()
    # The packages of a commit are the same on each machine.
    stamp = run(["git", "-C", CHECKOUT, "log", "-1", "--format=%ct"]).strip()
    run(
        [uv, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, CHECKOUT],
        env=os.environ | {"SOURCE_DATE_EPOCH": stamp},
    )


def check_checkout(checkout: Path = CHECKOUT) -> None:
    """Raise DevclusterError if the checkout has other files than its commit.

    The builds take whole folders, so a stray file would be in the packages, charts and images. The signed provenance
    would name a commit that lacks it.
    """
    if changed := run(["git", "-C", checkout, "status", "--porcelain", "--untracked-files=all"]).splitlines():
        got, fix = f"{changed[0]!r}", "Commit the changes, or remove them."
        raise DevclusterError(refusal("checkout", got, "the files of its commit only", fix))


def new_folder(folder: Path) -> None:
    """Make an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def chart_archive(source: Path, folder: Path) -> Path:
    """Package a chart; return the archive in the folder."""
    run(["helm", "package", source, "--destination", folder])
    return folder / f"{source.name}-{chart_version()}.tgz"


def chart(source: Path, registry: str, folder: Path, plain: list[str]) -> Artifact:
    """Package a chart and push it.

    Args:
        source: folder of the chart.
        registry: the chart becomes REGISTRY/charts/NAME.
        folder: where the archive is written.
        plain: `--plain-http` for a registry without TLS.

    """
    words = ["helm", "push", str(chart_archive(source, folder)), f"oci://{registry}/charts", *plain]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    found = re.search(r"^Digest: (sha256:[0-9a-f]{64})$", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise DevclusterError(f"{' '.join(words)}\nexited with {done.returncode}: {done.stdout.strip()}")
    return Artifact(f"{registry}/charts/{source.name}", found[1])


def image(target: str, registry: str, arguments: Mapping[str, str], plain: bool) -> Artifact:
    """Build a target of trainer/Dockerfile and push it as REGISTRY/TARGET:VERSION.

    Args:
        target: the target.
        registry: the registry and the folder of the image.
        arguments: build arguments of the Dockerfile, such as `BASE`.
        plain: whether the registry has no TLS.

    """
    log(f"building the image {target} (minutes when nothing is cached)")
    local = local_name(target)
    with exclusive("images"):
        images.build(target, local.partition(":")[0], chart_version(), arguments)
    return push(local, f"{registry}/{target}", plain)


def local_name(target: str) -> str:
    """Return the name of an image on this machine."""
    return f"release-{target}:{chart_version()}"


def push(local: str, name: str, plain: bool) -> Artifact:
    """Push a local image as NAME:VERSION."""
    with tempfile.NamedTemporaryFile() as file:
        options = ["--format", "oci", "--digestfile", file.name, *(["--tls-verify=false"] if plain else [])]
        images.buildah("push", *options, local, f"docker://{name}:{chart_version()}")
        return Artifact(name, Path(file.name).read_text().strip())
