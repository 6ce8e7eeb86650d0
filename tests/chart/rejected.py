"""The corpus of rejected job files: one table per top-level key.

Each case has a name, a job file and the error that `tfd check` prints for it, as LINE:COLUMN: MESSAGE. A case whose
file name or encoding is the point has `file`, a path in the folder of the tables, instead of `job`.

`python -m tests.chart.rejected FOLDER [CHART]` rewrites `error` in the tables of a folder and leaves every other byte
as it is. CHART is the chart of the files, tf-distributed unless it is given.
VERSION in an error stands for the version of the chart, so that a release changes no table.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import CHART, REJECTED
from tfd.jobfile.jobfile import JobFile

VERSION = re.findall(r"^version: (.*)$", (CHART / "Chart.yaml").read_text(), flags=re.MULTILINE)[0]


@dataclass(frozen=True)
class Case:
    """One rejected job file."""

    table: str
    name: str
    job: str
    file: str
    error: str
    folder: Path = REJECTED
    chart: Path = CHART

    @property
    def message(self) -> str:
        """The error without its place."""
        return self.error.split(": ", 1)[1]

    def path(self, folder: Path) -> Path:
        """Return the job file, written into `folder` unless it is a file of its own."""
        if self.file:
            return self.folder / self.file
        path = folder / "run.yaml"
        path.write_text(self.job)
        return path

    def problems(self) -> list[str]:
        """Return what `tfd check` prints for the file, without its path."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.path(Path(folder))
            return [str(problem).removeprefix(f"{path}:") for problem in JobFile(path, self.chart).problems()]


@cache
def tables(folder: Path = REJECTED) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each table, by file name."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def cases(folder: Path = REJECTED, chart: Path = CHART) -> Iterator[Case]:
    """Yield all cases."""
    for table, entries in tables(folder).items():
        for entry in entries:
            error = entry["error"].replace("VERSION", VERSION)
            yield Case(table, entry["name"], entry.get("job", ""), entry.get("file", ""), error, folder, chart)


def rewritten(text: str, errors: list[str]) -> str:
    """Return the text of a table with its errors replaced, in their order."""
    entries = yaml.compose(text).value  # type: ignore[union-attr]
    for entry, error in reversed(list(zip(entries, errors, strict=True))):
        [value] = [value for key, value in entry.value if key.value == "error"]
        text = text[: value.start_mark.index] + json.dumps(error, ensure_ascii=False) + text[value.end_mark.index :]
    return text


def main(folder: Path, chart: Path = CHART) -> None:
    """Write the errors of today into the tables of `folder`."""
    for table in tables(folder):
        errors = []
        for case in (case for case in cases(folder, chart) if case.table == table):
            [error] = case.problems()
            errors.append(error.replace(VERSION, "VERSION") if ": chartVersion: " in error else error)
        (folder / table).write_text(rewritten((folder / table).read_text(), errors))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
