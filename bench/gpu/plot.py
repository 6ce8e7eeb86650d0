"""The plot of a check: images per second by batch size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gpu.cases import Case
from bench.gpu.processes import OK


def draw(entries: Sequence[tuple[Case, dict[str, Any]]], path: Path) -> bool:
    """Write the plot to `path`; return False if matplotlib is not installed or there is nothing to show."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for case, result in entries:
        if case.group == "batch" and result["status"] == OK:
            name = f"{case.task.rpartition(':')[2]}, {case.precision}"
            lines.setdefault(name, []).append((case.batch, result["examplesPerSecond"]))
    if not lines:
        return False
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    axes = (figure := Figure(figsize=(8, 4.5), layout="constrained")).subplots()
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("batch size")
    axes.set_ylabel("images per second")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
    return True
