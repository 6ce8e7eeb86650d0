"""Renders workbench files, for the tests of their chart."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.chart.rendering import ROOT, Object, Values, render
from tfd.jobfile import helm_yaml

CHART = ROOT / "charts" / "workbench"
TEMPLATES = CHART / "templates"
EXAMPLES = sorted((ROOT / "workbenches" / "examples").glob("*.yaml"))
FILES = EXAMPLES + sorted((ROOT / "tests" / "workbench_files" / "accepted").glob("*.yaml"))
REJECTED = ROOT / "tests" / "workbench_files" / "rejected"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


@cache
def _render_once(file: Path | str) -> str:
    return render(file if isinstance(file, Path) else json.loads(file), chart=CHART)


def rendered(file: Path | Values) -> str:
    """Return what Helm prints for a workbench file, or for values; each is rendered once per process."""
    return _render_once(file if isinstance(file, Path) else json.dumps(file))


def objects(file: Path | Values) -> list[Object]:
    """Return the rendered objects."""
    return helm_yaml.load_all(rendered(file))
