"""The course of a check: its cases one after another, and a report that is written after each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.gpu import cases, plot, report
from bench.gpu.cases import Case, Size
from bench.gpu.processes import OK

Run = Callable[[Case], dict[str, Any]]


class Session:
    """Runs cases and keeps their results."""

    def __init__(
        self, machine: dict[str, Any], output: Path, run: Run, show: Callable[[Case, dict[str, Any]], None]
    ) -> None:
        """Prepare a check.

        Args:
            machine: What the report shows about the machine.
            output: The folder of the report.
            run: Runs a case and returns its result.
            show: Shows a case that has ended.

        """
        self._machine, self._output, self._run, self._show = machine, output, run, show
        self.entries: list[report.Entry] = []

    def all(self, size: Size) -> None:
        """Run all cases."""
        self._each([cases.program(size), *cases.tasks(size)])
        for task in size.models:
            for precision in size.precisions:
                if found := self._largest(size, task, precision):
                    self._each(cases.at_largest(size, found, str(self._output / f"jpegs-{size.images}")))
        self.write(complete=True)

    def _largest(self, size: Size, task: str, precision: str) -> Case | None:
        """Double the batch size until it does not fit; return the last case that did."""
        found, case = None, cases.smallest(size, task, precision)
        while case.batch <= size.largest and self._one(case)["status"] == OK:
            found, case = case, cases.doubled(case)
        return found

    def _each(self, several: Iterable[Case]) -> None:
        for case in several:
            self._one(case)

    def _one(self, case: Case) -> dict[str, Any]:
        result = self._run(case)
        report.add_utilization(case, result, self._machine["gpus"])
        self.entries.append((case, result))
        self._show(case, result)
        self.write(complete=False)
        return result

    def as_json(self, *, complete: bool) -> dict[str, Any]:
        """Return the report as JSON."""
        listed = [{"case": asdict(case), "result": result} for case, result in self.entries]
        return {"complete": complete, "machine": self._machine, "cases": listed}

    def write(self, *, complete: bool) -> None:
        """Write report.json, report.md and plot.svg with all results so far."""
        self._output.mkdir(parents=True, exist_ok=True)
        _replace(self._output / "report.json", json.dumps(self.as_json(complete=complete), indent=1))
        drawn = plot.draw(self.entries, self._output / "plot.svg")
        text = report.markdown(self._machine, self.entries, plot=drawn, complete=complete)
        _replace(self._output / "report.md", text)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
