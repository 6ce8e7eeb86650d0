"""Released charts in an OCI registry. Helm downloads them with the credentials of the user."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from tfd.jobfile.helm import SECONDS, find_helm
from tfd.text import refusal

NAME = "tf-distributed"
"""The name of the chart of a run, which is the last part of its address in a registry."""
# As for other clients, a registry of this machine needs no certificate.
_LOCAL = re.compile(r"oci://(localhost|127\.0\.0\.1)(:[0-9]+)?/")


class RegistryError(Exception):
    """The registry cannot provide a chart; the message names the reason and the fix."""


def pull(registry: str, version: str, cache: Path, name: str = NAME) -> Path | None:
    """Return the folder of a released chart, downloaded unless the cache has it; None if the registry lacks it.

    Args:
        registry: folder of the registry, such as `oci://HOST/FOLDER`.
        version: version of the chart.
        cache: folder for charts of this registry.
        name: name of the chart.

    Raises:
        RegistryError: the registry does not answer, or refuses the user.
        HelmError: Helm is missing.

    """
    kept = cache / (version if name == NAME else f"{name}-{version}")
    if not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            if not _pulled(f"{registry}/{name}", version, folder):
                return None
            _keep(Path(folder) / name, kept)
    return kept


def _keep(folder: Path, kept: Path) -> None:
    """Move a chart into the cache. Another process may have done that."""
    try:
        folder.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise


def _pulled(address: str, version: str, folder: str) -> bool:
    """Return whether Helm has downloaded a chart into a folder; False if the registry does not have it."""
    command = [find_helm(), "pull", address, "--version", version, "--untar", "--untardir", folder]
    command += ["--plain-http"] if _LOCAL.match(address) else []
    fix = "Check the address, the network and `helm registry login`."
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        message = refusal(f"{address}:{version}", f"no answer in {SECONDS} s", "a chart", fix)
        raise RegistryError(message) from None
    if done.returncode == 0:
        return True
    error = done.stderr.strip().rpartition("Error: ")[2]
    if error.endswith(": not found"):
        return False
    raise RegistryError(refusal(f"{address}:{version}", error or "an error of Helm", "a chart", fix))


def cache_of(registry: str) -> Path:
    """Return the folder in which this user keeps the charts of a registry."""
    base = os.environ.get("TFD_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tf-distributed")
    return Path(base).expanduser() / "charts" / registry.removeprefix("oci://").replace("/", "+")
