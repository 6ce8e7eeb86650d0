"""Find the Python environment with JupyterLab, and install it from the lock in a checkout."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tfd import assets
from tfd.text import refusal


class WorkbenchError(Exception):
    """The workbench cannot start; the message names the reason and the fix."""


def python() -> Path:
    """Return the Python of the environment with JupyterLab.

    It is the environment of `tfd` if JupyterLab is in it, as in the image. A checkout has an environment of its own,
    which this function installs on first use.

    Raises:
        WorkbenchError: the installation failed, or `tfd` is a package without the extra `workbench`.

    """
    if importlib.util.find_spec("jupyterlab") is not None:
        return Path(sys.executable)
    if assets.CHECKOUT is None:
        fix = "Run pip install 'tf-distributed[trainer,workbench]'."
        raise WorkbenchError(refusal("JupyterLab", "nothing", "an installed package", fix))
    # The script may need the Python that created the environment of `tfd`, not the environment.
    environment = os.environ | {"PYTHON": getattr(sys, "_base_executable", sys.executable)}
    script = assets.CHECKOUT / "scripts" / "workbench.sh"
    done = subprocess.run([script], env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise WorkbenchError(f"{script} failed with exit code {done.returncode}. Read its messages, and try again.")
    return Path(done.stdout.strip())
