"""Renders job files with Helm, for the tests of the chart."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tfd.jobfile import helm_yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tf-distributed"
TEMPLATES = CHART / "templates"
EXAMPLES = sorted((ROOT / "jobs" / "examples").glob("*.yaml"))
ACCEPTED = sorted((ROOT / "tests" / "job_files" / "accepted").glob("*.yaml"))
REJECTED = ROOT / "tests" / "job_files" / "rejected"
GOLDEN = ROOT / "tests" / "golden"
KUBERNETES = "1.37.0"
# Where kubeconform finds the schemas of Kubernetes and of Kueue.
SCHEMAS = f"{ROOT}/.venv/kubernetes-schemas/" + (
    "{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
)

Object = dict[str, Any]
Values = dict[str, Any]


class Refused(Exception):
    """Helm refused the values; the text is the output of Helm."""


def tool(name: str) -> str:
    """Return the path of a tool that `make setup` put next to this Python."""
    return str(Path(sys.executable).parent / name)


def render(
    job: Path | Values,
    *options: str,
    run: str = "",
    helm: str = "helm4",
    kubernetes: str = KUBERNETES,
    chart: Path = CHART,
) -> str:
    """Return what `helm template` prints for a job file, or for values that it gets as JSON on its standard input.

    Raises:
        Refused: Helm exits with another code than 0.

    """
    name = run or (job.stem if isinstance(job, Path) else "run")
    source = str(job) if isinstance(job, Path) else "-"
    command = [tool(helm), "template", name, str(chart), "--namespace", "team", "--values", source]
    done = subprocess.run(
        [*command, "--kube-version", kubernetes, *options],
        input=None if isinstance(job, Path) else json.dumps(job, ensure_ascii=False),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


@cache
def _render_once(job: Path | str) -> str:
    return render(job if isinstance(job, Path) else json.loads(job))


def rendered(job: Path | Values) -> str:
    """Return what `render` does, but render each job once per process only."""
    return _render_once(job if isinstance(job, Path) else json.dumps(job))


def objects(job: Path | Values) -> list[Object]:
    """Return the rendered objects of a job; each job is rendered once per process."""
    return helm_yaml.load_all(rendered(job))


def by_name(found: list[Object]) -> dict[str, Object]:
    """Return objects by KIND/NAME, which is unique in a namespace."""
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in found}


def of_kind(found: list[Object], kind: str) -> list[Object]:
    """Return the objects of one kind."""
    return [o for o in found if o["kind"] == kind]


def record(found: list[Object]) -> Object:
    """Return the run record: run.json of the run's ConfigMap."""
    [config] = [each for each in of_kind(found, "ConfigMap") if "run.json" in each["data"]]
    loaded: Object = json.loads(config["data"]["run.json"])
    return loaded
