"""The cross product of what changes the numbers of a training, and a sample in which all pairs occur.

A case is trained by one process per strategy. It has several branches: independent parts of one model, each with its
own optimizer. So one graph tries many combinations.
"""

from __future__ import annotations

import random
from itertools import product
from typing import Any, Final

Case = dict[str, Any]

OPTIMIZERS: Final = (
    "SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "Adafactor", "Nadam", "Ftrl", "Lion", "Lamb", "RMSprop",
    "Muon", "ScheduleFreeAdamW", "Momentum", "Own",
)  # fmt: skip
CLIPPING: Final[tuple[dict[str, float], ...]] = (
    {},
    {"clipnorm": 0.1},
    {"clipvalue": 0.02},
    {"global_clipnorm": 0.1},
)
ACCUMULATION: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"gradient_accumulation_steps": 3},
    {"use_ema": True, "ema_momentum": 0.5},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
)
NORMS: Final = (None, "plain", "synchronized")
INPUTS: Final = ("dense", "embedding")
EXTRAS: Final = (None, "regularizer", "constraint", "weight_decay", "frozen", "schedule")
PRECISIONS: Final = ("float32", "mixed_bfloat16", "mixed_float16")
ALL: Final = ("one", "mirrored2", "mirrored3", "multi", "server")
BRANCHES: Final = 16
"""The number of branches of a case: more make a graph slow to trace."""


def branch(
    optimizer: str, clipping: Case, accumulation: Case, norm: str | None, inputs: str, extra: str | None
) -> Case:
    """Return one branch of a case."""
    options = {**clipping, **accumulation, **({"weight_decay": 0.1} if extra == "weight_decay" else {})}
    return {"optimizer": optimizer, "options": options, "norm": norm, "inputs": inputs, "extra": extra}


def case(precision: str, *, weights: bool, jit: bool, branches: list[Case], strategies: tuple[str, ...] = ALL) -> Case:
    """Return a case for some strategies."""
    return {
        "kind": "product",
        "precision": precision,
        "weights": weights,
        "jit": jit,
        "branches": branches,
        "strategies": strategies,
    }


def whole() -> list[Case]:
    """Return the cross product, in an order that is random and always the same."""
    combinations = list(product(OPTIMIZERS, CLIPPING, ACCUMULATION, NORMS, INPUTS, EXTRAS))
    random.Random(11).shuffle(combinations)
    branches = [branch(*each) for each in combinations]
    parts = [branches[at : at + BRANCHES] for at in range(0, len(branches), BRANCHES)]
    cases = [
        case(precision, weights=weights, jit=jit, branches=part)
        for part, precision, weights, jit in product(parts, PRECISIONS, (False, True), (False, True))
    ]
    random.Random(12).shuffle(cases)
    return cases


def sample() -> list[Case]:
    """Return a few cases in which all pairs of values occur, and each value under each kind of strategy."""

    def part(row: int, number: int) -> Case:
        at = row + number
        return branch(
            OPTIMIZERS[row],
            CLIPPING[at % 4],
            ACCUMULATION[(row // 4 + number) % 4],
            NORMS[at % 3],
            INPUTS[(row // 2 + number) % 2],
            EXTRAS[(at + row // 6) % 6],
        )

    first, second = range(0, BRANCHES, 2), range(1, BRANCHES, 2)
    settings: list[tuple[str, bool, bool, range, tuple[str, ...]]] = [
        ("float32", True, False, range(BRANCHES), ALL),
        ("float32", False, True, first, ("mirrored2", "multi")),
        ("mixed_bfloat16", True, False, second, ("mirrored2", "server")),
        ("mixed_bfloat16", False, True, first, ("one", "multi")),
        ("mixed_float16", False, False, first, ("mirrored3", "multi", "server")),
        ("mixed_float16", True, True, second, ("mirrored2",)),
    ]
    return [
        case(precision, weights=weights, jit=jit, branches=[part(row, n) for row in rows], strategies=strategies)
        for n, (precision, weights, jit, rows, strategies) in enumerate(settings)
    ]


def refused(settings: Case, part: Case, strategy: str) -> bool:
    """Return whether the branch `part` of the case `settings` is refused under `strategy`; test_gradients tries how."""
    if strategy == "server":
        options = part["options"]
        return "gradient_accumulation_steps" in options or "ema_overwrite_frequency" in options
    several = strategy.startswith(("mirrored", "multi"))
    return several and settings["jit"] and part["norm"] == "synchronized"


def trains(settings: Case, strategy: str) -> bool:
    """Return whether the case `settings` is to be trained under `strategy`."""
    return strategy in settings["strategies"] and not (strategy == "server" and settings["jit"])


def references(settings: Case, part: Case, replicas: int) -> str:
    """Return what to compare the branch `part` with: one device, which may see the batch in a part per replica.

    Plain batch normalization normalizes each part by itself. Half precision is rounded in each part.
    """
    whole_batch = part["norm"] == "synchronized" or (not part["norm"] and settings["precision"] == "float32")
    return f"reference{1 if whole_batch else replicas}"


REPLICAS: Final = {"one": 1, "mirrored2": 2, "mirrored3": 3, "multi": 2, "server": 1}


def needed_references(settings: Case) -> set[str]:
    """Return all references that a case is compared with."""
    if settings["kind"] != "product":
        return set()
    return {
        references(settings, part, REPLICAS[strategy])
        for strategy in settings["strategies"]
        if trains(settings, strategy)
        for part in settings["branches"]
    }
