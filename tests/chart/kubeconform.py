"""Compares rendered objects with the schemas of Kubernetes, Kueue and the operator of Prometheus."""

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.chart.rendering import SCHEMAS, tool

VERSIONS = ("1.34.0", "1.35.0", "1.36.0", "1.37.0")


def kubeconform(folder: Path, kubernetes: str) -> subprocess.CompletedProcess[str]:
    """Return the verdict on all files of a folder, for a version of Kubernetes."""
    command = [tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", kubernetes]
    return subprocess.run(
        [*command, "-schema-location", SCHEMAS, str(folder)], capture_output=True, text=True, check=False
    )


def assert_all_conform(files: Iterable[Path], rendered: Callable[[Path], str], folder: Path, kubernetes: str) -> None:
    """Render files into a folder, and assert that the schemas define each field of all objects."""
    for path in files:
        (folder / path.name).write_text(rendered(path))
    done = kubeconform(folder, kubernetes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Errors: 0, Skipped: 0" in done.stdout
