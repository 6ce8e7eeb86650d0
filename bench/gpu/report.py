"""The report of a check as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from bench.gpu.cards import find
from bench.gpu.cases import Case
from bench.gpu.processes import NO_MEMORY, OK

Entry = tuple[Case, dict[str, Any]]
"""A case and its result."""


def add_utilization(case: Case, result: dict[str, Any], gpus: Sequence[dict[str, Any]]) -> None:
    """Add the share of the peak of the GPUs that a case reached; None if the peak is unknown."""
    card = find(gpus[0]["name"]) if gpus else None
    peak = card.peak(case.precision) if card else None
    flops = result.get("flopsPerExample")
    if result["status"] == OK and "examplesPerSecond" in result:
        known = peak and flops
        result["mfu"] = result["examplesPerSecond"] * flops / (peak * result["replicas"]) if known else None


def markdown(machine: dict[str, Any], entries: Sequence[Entry], *, plot: bool, complete: bool) -> str:
    """Return the report.

    Args:
        machine: What `devices` returned, with the driver.
        entries: All cases so far.
        plot: Whether plot.svg exists.
        complete: Whether all cases ran.

    """
    blocks = [_machine(machine), _verdict(entries, complete=complete)]
    for title, group, columns in (
        ("Built-in tasks", "task", _SPEED),
        ("Batch sizes, synthetic images", "batch", _SPEED),
        ("XLA with the largest batch", "xla", _SPEED),
        ("JPEG files in TFRecord files with the largest batch", "jpeg", _SPEED),
    ):
        if found := [each for each in entries if each[0].group == group]:
            blocks.append(f"## {title}\n\n{_table(columns, found)}")
            if group == "batch" and plot:
                blocks.append("![Images per second by batch size](plot.svg)")
    if pairs := _pairs(entries):
        blocks.append(f"## Trainer against other loops\n\n{pairs}")
    if failed := [each for each in entries if each[1]["status"] not in (OK, NO_MEMORY)]:
        texts = (
            f"### {case.name}\n\n{result['status']}\n\n{_code(result.get('error', ''))}" for case, result in failed
        )
        blocks.append("## Failures\n\n" + "\n\n".join(texts))
    return "\n\n".join(blocks) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    gpus = machine["gpus"]
    name = gpus[0]["name"] if gpus else "CPU"
    card = find(name)
    if not gpus:
        peak = "This is a try of the check without a GPU: its numbers mean nothing."
    elif card is None:
        peak = f"Unknown card: bench/gpu/cards.py has no peak for {name}, so MFU is unknown."
    else:
        half = "float16 and bfloat16" if card.bfloat16 else "float16"
        peak = f"Peak per GPU: {card.float32:g} TFLOP/s in float32, {card.half:g} in {half} ([source]({card.source}))."
    facts = [
        f"# GPU check: {len(gpus)} x {name}" if gpus else "# GPU check: CPU",
        f"Driver {machine.get('driver') or 'unknown'}, TensorFlow {machine['tensorflow']}, "
        f"CUDA {machine.get('cuda') or 'none'}, cuDNN {machine.get('cudnn') or 'none'}, {machine['date']}.",
        peak,
    ]
    return "\n\n".join(facts)


def _verdict(entries: Sequence[Entry], *, complete: bool) -> str:
    ok = sum(result["status"] == OK for _, result in entries)
    full = sum(result["status"] == NO_MEMORY for _, result in entries)
    rest = len(entries) - ok - full
    text = f"{ok} of {len(entries)} cases ran, {full} did not fit into the memory, and {rest} failed."
    return text if complete else f"{text} The check was interrupted, so cases are missing."


_SPEED = (
    "task",
    "strategy",
    "precision",
    "XLA",
    "batch",
    "examples/s",
    "step",
    "MFU",
    "input wait",
    "memory",
    "first step after",
)


def _table(columns: Sequence[str], entries: Iterable[Entry]) -> str:
    rows = [[*_settings(case), *_numbers(result)] for case, result in entries]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _settings(case: Case) -> list[str]:
    xla = "yes" if case.xla else "no"
    return [case.task.rpartition(":")[2], case.strategy, case.precision, xla, f"{case.batch}"]


def _numbers(result: dict[str, Any]) -> list[str]:
    if result["status"] != OK:
        return [result["status"], *["-"] * 5]
    mfu = result.get("mfu")
    return [
        f"{result['examplesPerSecond']:,.0f}",
        f"{1000 * result['secondsPerStep']:.2f} ms",
        "unknown" if mfu is None else f"{mfu:.1%}",
        f"{result['inputWaitShare']:.1%}",
        f"{result['peakMemoryBytes'] / 1e9:.2f} GB",
        f"{result['startToFirstStepSeconds']:.1f} s",
    ]


def _pairs(entries: Sequence[Entry]) -> str:
    """Return a row per comparison: the median of the ratios of all its pairs."""
    rates: dict[tuple[str, str, bool, int], dict[str, dict[int, float]]] = {}
    for case, result in entries:
        if case.group == "pair" and result["status"] == OK:
            of = rates.setdefault((case.task, case.precision, case.xla, case.batch), {})
            of.setdefault(case.side, {})[case.turn] = result["examplesPerSecond"]
    lines = []
    for (task, precision, xla, batch), sides in rates.items():
        for other in ("handwritten", "keras_fit"):
            both = sorted(sides.get("trainer", {}).keys() & sides.get(other, {}).keys())
            if both:
                ratio = statistics.median(sides["trainer"][turn] / sides[other][turn] for turn in both)
                numbers = [f"{statistics.median(sides[side].values()):,.0f}" for side in ("trainer", other)]
                words = [
                    task.rpartition(":")[2],
                    precision,
                    "yes" if xla else "no",
                    f"{batch}",
                    other.replace("_", " "),
                ]
                lines.append(f"| {' | '.join([*words, *numbers, f'{ratio:.3f}', f'{len(both)}'])} |")
    if not lines:
        return ""
    head = "| task | precision | XLA | batch | other loop | trainer examples/s | other examples/s | ratio | pairs |"
    return "\n".join([head, "| --- " * 9 + "|", *lines])


def _code(text: str) -> str:
    return f"```\n{text.replace('```', '')}\n```"
