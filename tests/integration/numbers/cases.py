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
STEPS: Final = 7
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
    """Return the cross product, in an order that is random and always the same.

    It has each combination of optimizer, clipping, accumulation, normalization, regularizer, precision and weights.
    XLA, the inputs and the other extras vary along with them: to multiply by them, too, would take days.
    """
    draw = random.Random(11)
    combinations = list(product(OPTIMIZERS, CLIPPING, ACCUMULATION, NORMS, ("regularizer", None)))
    settings = list(product(PRECISIONS, (False, True)))
    cases = []
    for precision, weights in settings:
        cases += [case(precision, weights=weights, jit=False, branches=part) for part in _parts(combinations, draw)]
    for number, part in enumerate(_parts(combinations, draw)):
        precision, weights = settings[number % len(settings)]
        cases.append(case(precision, weights=weights, jit=True, branches=part))
    draw.shuffle(cases)
    return cases


def _parts(combinations: list[tuple[Any, ...]], draw: random.Random) -> list[list[Case]]:
    """Return the branches of all combinations, with inputs and extras that are drawn, in the parts of a case each."""
    others = [each for each in EXTRAS if each != "regularizer"]
    branches = [
        branch(optimizer, clipping, accumulation, norm, draw.choice(INPUTS), extra or draw.choice(others))
        for optimizer, clipping, accumulation, norm, extra in draw.sample(combinations, len(combinations))
    ]
    return [branches[at : at + BRANCHES] for at in range(0, len(branches), BRANCHES)]


def sample() -> list[Case]:
    """Return a few cases in which all pairs of values occur; each optimizer occurs four times, in turns 0 to 3."""

    def part(row: int, turn: int) -> Case:
        half = row // 2
        return branch(
            OPTIMIZERS[row],
            CLIPPING[(half + turn) % 4],
            ACCUMULATION[(half // 2 + turn) % 4],
            NORMS[(row + turn) % 3],
            INPUTS[(half // 4 + turn) % 2],
            EXTRAS[(row + turn) % 6],
        )

    first, second = range(0, BRANCHES, 2), range(1, BRANCHES, 2)
    settings: list[tuple[str, bool, bool, range, int, tuple[str, ...]]] = [
        ("float32", True, False, first, 0, ("one", "multi")),
        ("float32", True, False, second, 0, ("multi", "server")),
        ("float32", False, True, first, 1, ("mirrored2",)),
        ("mixed_bfloat16", True, False, second, 1, ("mirrored2",)),
        ("mixed_bfloat16", False, True, first, 2, ("multi",)),
        ("mixed_float16", True, True, second, 2, ("multi",)),
        ("mixed_float16", False, False, first, 3, ("mirrored3",)),
        ("float32", False, False, second, 3, ("mirrored2",)),
    ]
    return [
        case(precision, weights=weights, jit=jit, branches=[part(row, turn) for row in rows], strategies=strategies)
        for precision, weights, jit, rows, turn, strategies in settings
    ]


def other(kind: str, *strategies: str, steps: int = STEPS, precision: str = "float32") -> Case:
    """Return a case of its own kind: a task of that name."""
    return {"kind": kind, "precision": precision, "steps": steps, "strategies": strategies or ALL}


def refused(settings: Case, part: Case, strategy: str) -> bool:
    """Return whether the branch `part` of the case `settings` is refused under `strategy`; test_gradients tries how."""
    if strategy == "server":
        options = part["options"]
        return "gradient_accumulation_steps" in options or "ema_overwrite_frequency" in options
    several = strategy.startswith(("mirrored", "multi"))
    return several and settings["jit"] and part["norm"] == "synchronized"


def trains(settings: Case, strategy: str) -> bool:
    """Return whether the case `settings` is to be trained under `strategy`."""
    return strategy in settings["strategies"] and not (strategy == "server" and settings.get("jit"))


def references(settings: Case, part: Case, replicas: int) -> str:
    """Return what to compare the branch `part` with: one device, which may see the batch in a part per replica.

    Plain batch normalization normalizes each part by itself. Half precision is rounded in each part.
    """
    whole_batch = part["norm"] == "synchronized" or (not part["norm"] and settings["precision"] == "float32")
    return f"reference{1 if whole_batch else replicas}"


REPLICAS: Final = {"one": 1, "mirrored2": 2, "mirrored3": 3, "multi": 2, "server": 1}


def parts_of(settings: Case, strategy: str) -> dict[int, Case]:
    """Return the branches that `strategy` trains, by their number; a reference trains those compared with it."""
    parts = dict(enumerate(settings["branches"]))
    if strategy in REPLICAS:
        return {number: each for number, each in parts.items() if not refused(settings, each, strategy)}
    replicas = {REPLICAS[each] for each in settings["strategies"] if trains(settings, each)}
    return {
        number: each
        for number, each in parts.items()
        if strategy in {references(settings, each, count) for count in replicas}
    }
