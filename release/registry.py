"""A registry of this machine, on a port of the loopback interface."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.build import go_module
from devcluster.paths import write
from devcluster.shell import run, wait_for

TYPES = ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json")
SECONDS = 60


@dataclass(frozen=True)
class Certificate:
    """The certificate of a registry with TLS, which is its own authority."""

    path: Path
    key: Path


def certificate(folder: Path, name: str, address: str) -> Certificate:
    """Create a certificate for the name and the address of a registry."""
    found = Certificate(folder / "registry.crt", folder / "registry.key")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:{address}"]
    run([*words, "-keyout", found.key, "-out", found.path])
    return found


@contextmanager
def local(folder: Path, address: str = "", tls: Certificate | None = None) -> Iterator[str]:
    """Run a registry that stores its data in a folder, and yield its address.

    Args:
        folder: the folder.
        address: HOST:PORT; by default a free port of the loopback interface.
        tls: its certificate; None for a registry without TLS.

    """
    address = address or f"127.0.0.1:{_free_port()}"
    http: dict[str, Any] = {"addr": address}
    if tls:
        http["tls"] = {"certificate": str(tls.path), "key": str(tls.key)}
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
    }
    settings = write(folder / "config.json", json.dumps(config))
    command = [str(go_module("registry") / "registry"), "serve", str(settings)]
    quiet = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    with subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for("the registry", lambda: _listens(address), SECONDS)
            yield address
        finally:
            process.terminate()


def copy_signatures(name: str, old: str, new: str) -> None:
    """Store the signatures of the digest `old` as those of the digest `new`, as an attacker could.

    The registry has no API of referrers, so a tag with the digest in its name lists the signatures.
    """
    _copy(name, old.replace(":", "-"), new.replace(":", "-"))


def move_tag(name: str, tag: str, digest: str) -> None:
    """Let a tag name the manifest with this digest."""
    _copy(name, digest, tag)


def _copy(name: str, source: str, target: str) -> None:
    """Store the manifest of one tag or digest under another tag."""
    host, _, repository = name.partition("/")
    manifests = f"http://{host}/v2/{repository}/manifests"
    request = urllib.request.Request(f"{manifests}/{source}", headers={"Accept": ", ".join(TYPES)})  # noqa: S310
    with _opener().open(request) as answer:
        manifest, kind = answer.read(), answer.headers["Content-Type"]
    changed = urllib.request.Request(f"{manifests}/{target}", manifest, {"Content-Type": kind}, method="PUT")  # noqa: S310
    _opener().open(changed).close()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except OSError:
        return False


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses without the proxy of the machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
