"""The 57 manifests of practitioners: at least 51 shapes become job files, and the others are refused for a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tfd.importing.answers import answered, checked, imported
from tests.unit.tfd.importing.shapes import build
from tfd.importing.manifest import UnreadableError
from tfd.jobfile import helm_yaml

ROWS: list[dict[str, Any]] = helm_yaml.load_all(Path(__file__).with_name("rows.yaml").read_text(encoding="utf-8"))[0]
LEAST_WRITABLE = 51
WRITABLE = [row for row in ROWS if "refused" not in row]


def manifest(row: dict[str, Any]) -> str:
    return json.dumps(build(row["roles"], row["uses"], row.get("version", "kubeflow.org/v1")))


def test_each_of_the_57_rows_has_a_verdict() -> None:
    assert [row["row"] for row in ROWS] == list(range(1, 58))
    assert len(WRITABLE) >= LEAST_WRITABLE


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What `tfd check` prints about the answered import of each row, in one Helm process."""
    files = {
        f"row-{row['row']}": answered(imported(manifest(row), run=f"row-{row['row']}", script=row.get("script", "")))
        for row in WRITABLE
    }
    return checked(files, tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("row", WRITABLE, ids=lambda row: str(row["row"]))
def test_shape_becomes_a_job_file_that_the_chart_accepts(row: dict[str, Any], problems: dict[str, list[str]]) -> None:
    assert problems[f"row-{row['row']}"] == []


@pytest.mark.parametrize("row", [row for row in ROWS if "refused" in row], ids=lambda row: str(row["row"]))
def test_other_shape_is_refused_for_its_reason(row: dict[str, Any]) -> None:
    try:
        result = imported(manifest(row), run="run-1", script=row.get("script", ""))
    except UnreadableError as error:
        assert row["refused"] in str(error)
    else:
        with pytest.raises(LookupError, match=row["refused"]):
            answered(result)
