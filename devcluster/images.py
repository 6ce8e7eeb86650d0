"""The images, built without an external registry: debootstrap creates the base image, buildah the others."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

from devcluster.build import go_module, pause
from devcluster.nodes import PAUSE
from devcluster.paths import CHECKOUT, REGISTRY, cache, write
from devcluster.shell import DevclusterError, log, run, wait_for

TARGETS = ("trainer", "tensorboard")
"""The images of runs. `make cluster` builds them."""
WORKBENCH = "workbench"
"""The image of a workbench, which is built only when something asks for it."""
SUITE = "bookworm"
PACKAGES = "ca-certificates,python3-venv"
NEEDLESS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
KEPT = 2
BASE = (SUITE, PACKAGES, *NEEDLESS)
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def publish(targets: Iterable[str] = TARGETS) -> dict[str, str]:
    """Return NAME@DIGEST of each image in the cluster's registry; build the images that are missing."""
    names = {target: key_of(target) for target in targets}
    found = {target: published(f"tf-distributed/{target}", key) for target, key in names.items()}
    for target, key in names.items():
        if found[target] is None:
            begin = time.monotonic()
            base = base_image()
            arguments = {"BASE": base} | ({"GO": helm_image(base)} if target == WORKBENCH else {})
            log(f"building the image {target} (once; minutes when nothing is cached)")
            build(target, target, key, arguments)
            found[target] = push(f"{target}:{key}", f"tf-distributed/{target}", key)
            prune()
            log(f"built and pushed {target} in {time.monotonic() - begin:.0f} s")
    return {target: name for target, name in found.items() if name}


def publish_pause() -> None:
    """Push the image of the pod sandbox to the registry."""
    name, tag = PAUSE.removeprefix(f"{REGISTRY}/").split(":")
    if published(name, tag):
        return
    with scratch({"pause": pause()}, 'ENTRYPOINT ["/pause"]') as (folder, file):
        buildah("bud", "--tag", "pause", "--file", file, folder)
    push("pause", name, tag)


def base_image(packages: str = PACKAGES) -> str:
    """Return the local name of a Debian image with some packages; debootstrap creates the image once."""
    name = f"localhost/tf-distributed-base:{fingerprint([], SUITE, packages, *NEEDLESS)}"
    if buildah("images", "--quiet", "--filter", f"reference={name}").strip():
        return name
    log(f"building the base image: Debian {SUITE} with {packages or 'nothing else'}")
    with tempfile.TemporaryDirectory(prefix="tfd-base-", dir=cache()) as made:
        root, tar = Path(made, "root"), Path(made, "root.tar")
        # A separate mount namespace: the kernel removes the mounts of debootstrap when debootstrap ends.
        include = [f"--include={packages}"] if packages else []
        run(["unshare", "--mount", "debootstrap", "--variant=minbase", *include, SUITE, root])
        for folder in NEEDLESS:
            shutil.rmtree(root / folder, ignore_errors=True)
        run(["tar", "--create", "--file", tar, "--directory", root, "--exclude=./dev/*", "--exclude=./proc/*", "."])
        with scratch({"root.tar": tar}) as (context, file):
            buildah("bud", "--tag", name, "--file", file, context)
    return name


def helm_image(base: str) -> str:
    """Return the local name of a base image with the pinned Helm of this machine, as build argument `GO`.

    scripts/go-tool.sh finds Helm in its cache there, so the image needs no Go and the build of `workbench` no modules.
    """
    helm = go_module("helm")
    name = f"localhost/tf-distributed-helm:{fingerprint([], base, helm.name)}"
    if not buildah("images", "--quiet", "--filter", f"reference={name}").strip():
        with tempfile.TemporaryDirectory(prefix="tfd-helm-", dir=cache()) as folder:
            Path(folder, "helm").hardlink_to(helm / "helm")
            file = write(Path(folder, "Dockerfile"), f"FROM {base}\nCOPY helm /cache/bin/{helm.name}/helm\n")
            buildah("bud", "--tag", name, "--file", file, folder)
    return name


def build(target: str, name: str, tag: str, arguments: Mapping[str, str]) -> None:
    """Build one target of trainer/Dockerfile with build arguments such as `BASE`, and tag it NAME:TAG."""
    dockerfile = CHECKOUT / "trainer" / "Dockerfile"
    options = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    with tempfile.TemporaryDirectory(prefix="tfd-pip-") as folder:
        index = os.environ.get("PIP_INDEX_URL", "")
        pip = f"[global]\ncert = {CERTIFICATES}\n" + (f"index-url = {index}\n" if index else "")
        config = write(Path(folder, "pip.conf"), pip)
        packages = f"{target}-packages:{fingerprint([CHECKOUT / 'requirements' / f'{target}.txt'], *BASE)}"
        # The stage with the packages takes minutes; its tag protects the stage from `prune`.
        for stage, full in ((f"{target}-packages", packages), (target, f"{name}:{tag}")):
            buildah(
                "bud", "--layers", *options, "--target", stage, "--tag", full,
                "--ignorefile", f"{dockerfile}.dockerignore", "--file", dockerfile,
                "--volume", f"{config}:/etc/pip.conf:ro", "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", CHECKOUT,
            )  # fmt: skip


def prune() -> None:
    """Delete all but the newest images of each name, and the layers that no image needs, to limit disk use."""
    seen: Counter[str] = Counter()
    # buildah lists the newest image first.
    for line in buildah("images", "--noheading", "--format", "{{.Name}} {{.Tag}}").splitlines():
        name, tag = line.split()
        seen[name] += name != "<none>"
        if seen[name] > KEPT:
            buildah("rmi", f"{name}:{tag}")
    # Deleting an untagged image may leave its parent untagged and unused, so this repeats until nothing changes.
    left: set[str] = set()
    while (found := set(buildah("images", "--quiet", "--no-trunc", "--filter", "dangling=true").split())) - left:
        # Another process may build on one of them. buildah deletes the others, and then fails.
        with suppress(DevclusterError):
            buildah("rmi", *sorted(found))
        left = found


def push(local: str, name: str, tag: str) -> str:
    """Push a local image and return its NAME@DIGEST."""
    wait_for("the registry", lambda: answers("/v2/"), 20)
    with tempfile.NamedTemporaryFile() as file:
        # Nodes unpack zstd several times faster than gzip.
        options = ["--tls-verify=false", "--format", "oci", "--compression-format", "zstd", "--digestfile", file.name]
        buildah("push", *options, local, f"docker://{REGISTRY}/{name}:{tag}")
        return f"{REGISTRY}/{name}@{Path(file.name).read_text().strip()}"


def published(name: str, tag: str) -> str | None:
    """Return NAME@DIGEST of an image, or None if the registry lacks it."""
    wait_for("the registry", lambda: answers("/v2/"), 20)
    digest = answers(f"/v2/{name}/manifests/{tag}")
    return f"{REGISTRY}/{name}@{digest}" if digest else None


def answers(path: str) -> str | None:
    """Return the digest that the registry reports for a path, `yes` without a digest, None if the path is missing."""
    request = urllib.request.Request(f"http://{REGISTRY}{path}", headers={"Accept": MANIFESTS}, method="HEAD")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return str(answer.headers.get("Docker-Content-Digest") or "yes")
    except (URLError, OSError):
        return None


def key_of(target: str) -> str:
    """Return the fingerprint of all inputs of an image, which is its tag."""
    dockerfile = CHECKOUT / "trainer" / "Dockerfile"
    files = [dockerfile, CHECKOUT / "scripts" / "image-packages.sh", CHECKOUT / "requirements" / f"{target}.txt"]
    if target == "trainer":
        files += files_of("trainer", "jobs/examples/*.py")
    if target == WORKBENCH:
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), flags=re.M)
        files += files_of(*(each for words in copied for each in words.split() if not each.startswith("requirements/")))
    return fingerprint(files, *BASE)


def files_of(*patterns: str) -> Iterator[Path]:
    """Yield the files of the checkout that match a pattern, or are below a folder that matches it."""
    for found in (found for pattern in patterns for found in CHECKOUT.glob(pattern)):
        for path in found.rglob("*") if found.is_dir() else [found]:
            if path.is_file() and path.suffix != ".pyc":
                yield path


def fingerprint(files: Iterable[Path], *words: str) -> str:
    """Return a short hash of words and of the names and contents of files."""
    digest = hashlib.sha256("\0".join(words).encode())
    for path in sorted(set(files)):
        digest.update(f"\0{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def scratch(files: dict[str, Path], last: str = "") -> Iterator[tuple[Path, Path]]:
    """Yield a build context and a Dockerfile that adds `files` to an empty image; tar files are unpacked."""
    with tempfile.TemporaryDirectory(prefix="tfd-image-", dir=cache()) as made:
        for name, path in files.items():
            Path(made, name).hardlink_to(path)
        adds = "\n".join(f"ADD {name} /" for name in files)
        yield Path(made), write(Path(made, "Dockerfile"), f"FROM scratch\n{adds}\n{last}\n")


def buildah(*words: str | Path) -> str:
    """Run buildah with a separate store in the cache and without the privileges of a container."""
    store = cache() / "buildah"
    command = ["buildah", "--root", store / "root", "--runroot", store / "run", "--storage-driver", "overlay", *words]
    env = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(list(map(str, command)), env=env, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise DevclusterError(f"{' '.join(map(str, command))}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout
