"""The Grafana dashboard is well-formed, and Prometheus accepts its queries, which read only metrics of the trainer."""

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import tool
from tests.monitoring.dashboard import dashboard, queries, targets
from tests.monitoring.metrics import metric_names, used_names

PANELS: list[dict[str, Any]] = dashboard()["panels"]
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"short", "s", "bytes", "percentunit"}


def test_prometheus_accepts_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"panel:query{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard_shows_every_metric_and_no_other() -> None:
    assert set().union(*(used_names(query) for _, query in queries())) == metric_names()


@pytest.mark.parametrize(("title", "target"), targets(), ids=[title for title, _ in targets()])
def test_query_selects_the_teams_and_runs_of_the_variables(title: str, target: dict[str, Any]) -> None:
    selectors = re.findall(r"tf_distributed_\w+(\{[^}]*\})?", target["expr"])
    assert selectors, title
    for selector in selectors:
        assert 'namespace=~"$namespace", run=~"$run"' in selector
    assert "$" not in target["expr"].replace("$namespace", "").replace("$run", "")
    assert target["datasource"] == SOURCE


def test_variables_come_from_the_data_source_and_from_the_metrics() -> None:
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "run"]
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("namespace", "run"):
        query = variables[name]["query"]["query"]
        assert re.fullmatch(rf"label_values\(tf_distributed_run_info(\{{.*\}})?, {name}\)", query)
        assert variables[name]["definition"] == query
        assert variables[name]["datasource"] == SOURCE


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_has_words_a_unit_and_a_data_source(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["datasource"] == SOURCE
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == list("ABC"[: len(letters)])


def test_panels_have_their_own_numbers_and_titles() -> None:
    for key in ("id", "title"):
        assert len({panel[key] for panel in PANELS}) == len(PANELS)


def test_panels_stay_within_the_width_and_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert [place for place in places if not 0 <= place["x"] < place["x"] + place["w"] <= WIDTH] == []
    for one, other in combinations(places, 2):
        apart = [one[at] + one[size] <= other[at] or other[at] + other[size] <= one[at] for at, size in ("xw", "yh")]
        assert any(apart), (one, other)


def test_dashboard_has_a_fixed_identity_and_no_data_source_of_its_author() -> None:
    assert dashboard()["uid"] == "tf-distributed-runs"
    assert "id" not in dashboard()
    assert dashboard()["schemaVersion"] >= 36  # Grafana rewrites the data sources of older versions.
