"""The list of packages in an image or next to the wheel, as a CycloneDX document (SBOM)."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from devcluster import images
from devcluster.paths import CHECKOUT, cache
from devcluster.repository import chart_version
from devcluster.shell import run

LOCK = CHECKOUT / "requirements" / "sbom.txt"
KIND = "cyclonedx"
"""The type of the attestation, in the words of cosign."""
VERSION = "1.6"
"""The version of CycloneDX."""
_MODULE = re.compile(r"^\s(?:mod|dep)\t(\S+)\tv(\S+)", re.M)


def of_image(target: str, local: str, file: Path) -> Path:
    """Write the packages of Debian, the Python packages and the Go modules of a local image; return the file."""
    with _mounted(local) as root, tempfile.TemporaryDirectory(prefix="tfd-sbom-") as temporary:
        parts = [_debian(root, Path(temporary, "debian"))]
        parts += [_python(path, Path(temporary, "python.json")) for path in root.glob("opt/venv/lib/*/site-packages")]
        parts += [_go(path, Path(temporary, f"{path.name}.json")) for path in root.glob("usr/local/bin/helm")]
        return _merged("container", target, parts, file)


def of_wheel(wheel: Path, file: Path) -> Path:
    """Write the locked packages that the installation of a wheel brings, without its extras; return the file."""
    with tempfile.TemporaryDirectory(prefix="tfd-sbom-") as temporary:
        environment = Path(temporary, "environment")
        uv = run([CHECKOUT / "scripts" / "uv.sh"]).strip()
        run([uv, "venv", "--quiet", "--python", sys.executable, environment])
        limits = CHECKOUT / "requirements" / "dev.txt"
        run([uv, "pip", "install", "--quiet", "--python", environment, "--constraint", limits, wheel])
        [packages] = environment.glob("lib/*/site-packages")
        return _merged("application", "tf-distributed", [_python(packages, Path(temporary, "python.json"))], file)


def _tools() -> Path:
    """Return the folder of the programs that write the lists; install them once."""
    folder = cache() / "release" / f"sbom-{sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if not (folder / "bin" / "debsbom").exists():
        run([CHECKOUT / "scripts" / "locked-venv.sh", folder, LOCK])
    return folder / "bin"


def _debian(root: Path, out: Path) -> Path:
    words = ["--sbom-type", "cdx", "--cdx-schema-version", VERSION, "--with-licenses"]
    run([_tools() / "debsbom", "generate", "--root", root, "--out", out, *words])
    return out.with_name(f"{out.name}.cdx.json")


def _python(packages: Path, out: Path) -> Path:
    """Write the packages in a folder of an image, whose own Python cannot run here.

    Without its module `site`, the Python of this machine finds packages only in PYTHONPATH. -E keeps that variable from
    the program that lists them.
    """
    program = [str(_tools() / "python"), "-E", "-m", "cyclonedx_py", "environment"]
    options = ["-S", "--sv", VERSION, "--short-PURLs", "-o", str(out)]
    with tempfile.TemporaryDirectory(prefix="tfd-empty-") as empty:
        environment = os.environ | {"PYTHONPATH": str(packages)}
        run(["env", f"--chdir={empty}", *program, *options, sys.executable], env=environment)
    return out


def _go(program: Path, out: Path) -> Path:
    """Write the modules in a Go program, which it lists itself."""
    modules = _MODULE.findall(run(["go", "version", "-m", program]))
    components = [
        {"type": "library", "name": name, "version": f"v{version}", "purl": purl, "bom-ref": purl}
        for name, version in modules
        for purl in [f"pkg:golang/{name}@v{version}"]
    ]
    out.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": VERSION, "components": components}))
    return out


def _merged(kind: str, name: str, parts: list[Path], file: Path) -> Path:
    """Merge lists into one about a program, whose kind is a word of CycloneDX."""
    lists = [json.loads(part.read_text(encoding="utf-8")) for part in parts]
    components = [each for one in lists for each in one["components"]]
    known = {each["bom-ref"] for each in components}
    tools = [tool for one in lists for tool in one.get("metadata", {}).get("tools", {}).get("components", [])]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": kind, "name": name, "version": chart_version(), "bom-ref": name},
            "tools": {"components": tools},
        },
        "components": components,
        # The lists also have a root of their own, which is not in this one.
        "dependencies": [each for one in lists for each in one.get("dependencies", []) if each["ref"] in known],
    }
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return file


@contextmanager
def _mounted(local: str) -> Iterator[Path]:
    """Mount the files of a local image."""
    container = images.buildah("from", local).strip()
    try:
        yield Path(images.buildah("mount", container).strip())
    finally:
        images.buildah("rm", container)
