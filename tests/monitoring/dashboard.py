"""The queries of the Grafana dashboard, as Grafana sends them for all teams and runs."""

import json
from functools import cache
from typing import Any

from tests.conventions.repository import ROOT

DASHBOARD = ROOT / "monitoring" / "dashboard.json"


@cache
def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def targets() -> list[tuple[str, dict[str, Any]]]:
    """Return the title of the panel and the target for each query."""
    return [(panel["title"], target) for panel in dashboard()["panels"] for target in panel["targets"]]


def queries() -> list[tuple[str, str]]:
    """Return the title of the panel and the text of each query, with the variables set to all values."""
    return [(title, target["expr"].replace("$namespace", ".*").replace("$run", ".*")) for title, target in targets()]
