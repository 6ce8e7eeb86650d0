"""The estimates of a run, as text and as JSON."""

from __future__ import annotations

from typing import Any

from tfd.planning import model
from tfd.planning.inputs import Plan
from tfd.text import duration, number, visible

_LONG = 2 * 86400
_WORDS = {
    model.COMPUTE: "computation",
    model.NETWORK: "network of the workers",
    model.PS: "ps",
    model.CORES: "cores of the machine",
}


def estimates(plan: Plan) -> list[model.Estimate]:
    """Return the estimate of each number of workers in the plan."""
    return model.estimates(plan.assumptions, plan.job.layout, plan.workers)


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan for programs. Times are in seconds, and null stands for what the run does not have."""
    found = estimates(plan)
    layout = plan.job.layout
    return {
        "run": plan.job.run,
        "strategy": layout.strategy,
        "batchSize": layout.batch,
        "steps": layout.steps,
        "ps": layout.ps if layout.strategy == model.PARAMETER_SERVER else None,
        "workers": plan.job.workers,
        "minWorkers": layout.min_workers,
        "best": model.best(found, plan.least_efficiency).workers,
        "estimates": [_row(each) for each in found],
        "leftOut": list(plan.left_out),
        "assumptions": [
            {"name": each.name, "value": each.value, "unit": each.unit, "source": each.source} for each in plan.facts
        ],
    }


def as_text(plan: Plan) -> str:
    """Return what the run is, the estimates, the best number of workers and all assumptions."""
    layout, found, unit = plan.job.layout, estimates(plan), _unit(plan)
    ps = f", {layout.ps} ps" if layout.strategy == model.PARAMETER_SERVER else ""
    lines = [f"{plan.job.run}: {layout.strategy}{ps}, batch size {layout.batch:,}, {layout.steps:,} steps", ""]
    lines += [*_aligned(_table(plan, found, unit)), ""]
    if plan.left_out:
        counts = ", ".join(map(str, plan.left_out))
        lines.append(f"Left out: {counts} {unit}, whose replicas cannot share a batch of {layout.batch:,}.")
    best = model.best(found, plan.least_efficiency)
    lines.append(
        f"Best: {best.workers} {unit}, the fastest with an efficiency of {plan.least_efficiency:.0%} or more. "
        f"The limit is: {_WORDS[best.step.bottleneck]}."
    )
    [own] = [each for each in found if each.workers == plan.job.workers]
    if (least := layout.min_workers) is not None and least < own.workers:
        [slowest] = [each for each in found if each.workers == least]
        lines.append(
            f"The run has {least} to {own.workers} {unit}. The time to the last step is {_time(slowest.seconds)} with "
            f"the fewest and {_time(own.seconds)} with all."
        )
    if own.ps_needed is not None:
        advice = f"Set ps.replicas: {own.ps_needed}." if layout.ps < own.ps_needed else f"The job file has {layout.ps}."
        lines.append(f"The {own.workers} workers of the job file need {own.ps_needed} ps. {advice}")
    lines += ["", "Assumptions. Start, checkpoints and evaluation are not counted.", *_aligned(_facts(plan))]
    return "\n".join(visible(line) for line in lines)


def _unit(plan: Plan) -> str:
    return {"Mirrored": "GPUs", "OneDevice": "device"}.get(plan.job.layout.strategy, "workers")


def _table(plan: Plan, found: list[model.Estimate], unit: str) -> list[tuple[str, ...]]:
    has_ps = any(each.ps_needed is not None for each in found)
    columns = [unit, "step", "examples/s", "to the last step", "GPU-hours", "efficiency", *["ps needed"] * has_ps]
    rows = [
        (
            f"{each.workers}",
            f"{number(each.step.seconds)} s",
            number(each.examples_per_second),
            _time(each.seconds),
            number(each.gpu_hours),
            f"{each.efficiency:.0%}",
            *[str(each.ps_needed)] * has_ps,
            _WORDS[each.step.bottleneck] + _mark(plan, each.workers),
        )
        for each in found
    ]
    return [(*columns, "limit"), *rows]


def _mark(plan: Plan, workers: int) -> str:
    if workers == plan.job.workers:
        return " (job file)"
    return " (minReplicas)" if workers == plan.job.layout.min_workers else ""


def _time(seconds: float) -> str:
    return duration(seconds) if seconds < _LONG else f"{number(seconds / 86400)} days"


def _facts(plan: Plan) -> list[tuple[str, ...]]:
    values = ("-" if each.value is None else f"{number(each.value)} {each.unit}".strip() for each in plan.facts)
    return [(each.name, value, each.source) for each, value in zip(plan.facts, values, strict=True)]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as lines of equal columns, which no terminal wraps within a cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(each: model.Estimate) -> dict[str, Any]:
    return {
        "workers": each.workers,
        "stepSeconds": each.step.seconds,
        "computeSeconds": each.step.compute,
        "transferSeconds": each.step.transfer,
        "examplesPerSecond": each.examples_per_second,
        "seconds": each.seconds,
        "gpuHours": each.gpu_hours,
        "efficiency": each.efficiency,
        "psNeeded": each.ps_needed,
        "bottleneck": each.step.bottleneck,
    }
