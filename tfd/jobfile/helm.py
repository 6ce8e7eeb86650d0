"""Helm, as a command: the only renderer of job files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml
from tfd.text import refusal

# Rendered for the newest Kubernetes that the chart supports, whatever Helm was built with.
KUBERNETES = "1.37.0"
# The slowest job file that the schema accepts, with 2,000 tasks, takes 1 s.
SECONDS = 20
_PREFIX = "tf-distributed: "


class HelmError(Exception):
    """Helm has no result: the chart refuses the job file, or Helm is missing, was ended or takes too long."""

    rule = False
    """Whether one of the chart's own rules refused the job file."""


class RefusedError(HelmError):
    """The chart refuses the job file, for Argo CD as well, so it never started."""

    def __init__(self, message: str, *, rule: bool = False) -> None:
        super().__init__(message)
        self.rule = rule


def find_helm() -> str:
    """Return the path of helm: the one next to this Python, else the one on the PATH.

    Raises:
        HelmError: Helm is not installed.

    """
    neighbor = Path(sys.executable).parent / "helm"
    found = str(neighbor) if neighbor.exists() else shutil.which("helm")
    if found is None:
        fix = "Install it from https://helm.sh/docs/intro/install, or run make setup in a checkout."
        raise HelmError(refusal("helm", "no program", "Helm 3.18 or newer on the PATH", fix))
    return found


def template(run: str, team: str, values: Path, chart: Path = assets.CHART) -> str:
    """Return what `helm template` prints for the job file `values` as release `run` in namespace `team`.

    Raises:
        RefusedError: the chart refuses the values; the message is the chart's own.
        HelmError: Helm has no result.

    """
    # Argo CD renders the folder crds/ of a chart, too.
    options = ["--namespace", team, "--values", str(values), "--kube-version", KUBERNETES, "--include-crds"]
    command = [find_helm(), "template", run, str(chart), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise HelmError(refusal("file", f"more than {SECONDS} s of Helm", "less", "Request fewer tasks.")) from None
    if done.returncode == 0:
        return done.stdout
    error = done.stderr.strip()
    if _PREFIX in error:
        raise RefusedError(error.rsplit(_PREFIX, 1)[1].partition("\n")[0].strip(), rule=True)
    # Above the error Helm may print warnings. A signal or a crash leaves another exit code.
    _, found, reason = error.rpartition("Error: ")
    if done.returncode == 1 and found:
        raise RefusedError(reason.replace(str(values), values.name))
    raise HelmError(refusal("helm", f"exit code {done.returncode}", "0 or 1", "Free memory and run it again."))


def objects(text: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects in what `template` returns.

    Raises:
        RefusedError: Kubernetes could not read them; a chart that does not quote a name of the job file prints such
            text.

    """
    try:
        found = helm_yaml.load_all(text)
    except helm_yaml.YamlError as error:
        raise RefusedError(f"The rendered objects cannot be read. {error}") from None
    if not all(isinstance(each, dict) for each in found):
        raise RefusedError("The rendered objects are not mappings.")
    return found


def render(run: str, team: str, values: Path, chart: Path = assets.CHART) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of a job file. Takes the arguments of `template` and raises its errors."""
    return objects(template(run, team, values, chart))
