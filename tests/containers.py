"""Programs that run as process 1 of new namespaces, as in a container."""

import os
import shutil
import subprocess
import sys

import pytest

_NAMESPACES = ("unshare", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")


def namespaces() -> tuple[str, ...]:
    """Return the words that start a program as process 1; skip the test where the machine does not allow it."""
    if not shutil.which("unshare") or subprocess.run([*_NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no process namespace")
    return _NAMESPACES


def python(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `words` as process 1."""
    command = [*namespaces(), sys.executable, *words]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=100, check=False)
