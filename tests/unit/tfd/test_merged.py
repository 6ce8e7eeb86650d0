"""Values merged over defaults by tfd are the values that Helm merges: `tfd check` relies on it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.chart.rendering import tool
from tfd.jobfile.schema import merged

Values = dict[str, Any]

KEYS = st.sampled_from("ab")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "x"]), st.lists(st.just(1)))
BLOCKS = st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
VALUES = st.dictionaries(KEYS, BLOCKS, max_size=3)


def without_null(values: Values) -> Values:
    found = {name: without_null(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


# A chart has no null among its defaults.
DEFAULTS = VALUES.map(without_null)


def helm_merges(version: str, chart: Path, defaults: Values, values: Values) -> Values:
    (chart / "templates").mkdir(exist_ok=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: probe\nversion: 0.1.0\n")
    (chart / "templates" / "values.yaml").write_text("{{ .Values | toJson }}\n")
    (chart / "values.yaml").write_text(json.dumps(defaults))
    done = subprocess.run(
        [tool(version), "template", "probe", str(chart), "--values", "-"],
        input=json.dumps(values), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: Values = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return found


# Not shrunk, because each example starts Helm.
@pytest.mark.parametrize("version", ["helm3", "helm4"])
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(defaults={"a": {"b": 1, "c": 2}, "b": 3}, values={"a": {"b": None}, "b": None, "c": None})
@given(defaults=DEFAULTS, values=VALUES)
def test_values_are_merged_like_helm(tmp_path: Path, version: str, defaults: Values, values: Values) -> None:
    assert merged(defaults, values) == helm_merges(version, tmp_path, defaults, values)
