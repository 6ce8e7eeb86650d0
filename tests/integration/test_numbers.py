"""N replicas train what one device trains with the global batch, or the combination is refused by name.

This file tries a sample of the cross product, and all of it with `TFD_NUMBERS=whole` in the environment.
The processes of numbers_case train, because a process can set its devices only once.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Case = dict[str, Any]
Results = dict[str, list[list[Any]]]

pytestmark = [pytest.mark.slow, pytest.mark.processes]

OPTIMIZERS = (
    "SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "Adafactor", "Nadam", "Ftrl", "Lion", "Lamb", "RMSprop",
    "Muon", "ScheduleFreeAdamW",
)  # fmt: skip
CLIPPING: tuple[dict[str, float], ...] = ({}, {"clipnorm": 0.1}, {"clipvalue": 0.02}, {"global_clipnorm": 0.1})
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
NORMS = (None, "plain", "synchronized")
ACCUMULATION: tuple[dict[str, Any], ...] = (
    {},
    {"gradient_accumulation_steps": 3},
    {"use_ema": True, "ema_momentum": 0.5},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
)
PLAIN: Case = {
    "kind": "equal", "optimizer": "SGD", "options": {}, "precision": "float32", "weights": False, "regularizer": False,
    "norm": None, "model": "dense", "jit": False,
}  # fmt: skip
STRATEGIES = {
    "one": "reference1",
    "mirrored2": "reference2",
    "mirrored3": "reference3",
    "multi0": "reference2",
    "multi1": "reference2",
    "server": "reference1",
}
"""Each strategy, and what it is compared with."""


def cross_product() -> list[Case]:
    """Return all cases, in an order that is random and always the same."""
    cases = [
        {
            **PLAIN,
            "optimizer": optimizer,
            "options": {**clipping, **accumulation},
            "precision": precision,
            "weights": weights,
            "regularizer": regularizer,
            "norm": norm,
            "model": model,
        }
        for optimizer, clipping, accumulation, precision, weights, regularizer, norm, model in product(
            OPTIMIZERS, CLIPPING, ACCUMULATION, PRECISIONS, (False, True), (False, True), NORMS, ("dense", "embedding")
        )
    ]
    random.Random(11).shuffle(cases)
    return cases


FIXED: tuple[Case, ...] = (
    {**PLAIN, "norm": "synchronized", "jit": True},
    {**PLAIN, "norm": "plain", "jit": True, "weights": True, "options": {"global_clipnorm": 0.1, "use_ema": True}},
    {
        **PLAIN,
        "optimizer": "Adam",
        "options": {"gradient_accumulation_steps": 2, "clipnorm": 0.1},
        "model": "embedding",
    },
)
CASES = [*FIXED, *(cross_product() if os.environ.get("TFD_NUMBERS") == "whole" else cross_product()[:3])]
OVERFLOW: Case = {**PLAIN, "kind": "overflow", "precision": "mixed_float16"}
RANDOM: Case = {**PLAIN, "kind": "random"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What came out of all cases under all strategies."""
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "cases.json").write_text(json.dumps([*CASES, OVERFLOW, RANDOM]))
    # A process can have only one number of replicas, and nothing after the servers of ParameterServer.
    cluster = {"worker": free_addresses(2)}
    processes = [
        started(folder, "single", ["reference1", "reference2", "reference3", "one", "mirrored2", "server"]),
        started(folder, "mirrored3", ["mirrored3"]),
    ]
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(started(folder, f"multi{index}", ["multi"], {"TF_CONFIG": json.dumps(task)}))
    try:
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0, 0, 0], "\n".join(path.read_text()[-3000:] for path in folder.glob("*.err"))
    return {path.stem: loaded(path) for path in folder.glob("*.npz")}


def started(
    folder: Path, name: str, strategies: list[str], variables: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Return the process called `name`, which trains all cases under `strategies`."""
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "4", "TF_CPP_MIN_LOG_LEVEL": "2", **(variables or {})}
    command = [
        sys.executable,
        "-m",
        f"{__package__}.numbers_case",
        str(folder / "cases.json"),
        str(folder),
        *strategies,
    ]
    with (folder / f"{name}.err").open("w") as errors:
        return subprocess.Popen(command, env=environment, stderr=errors)


def free_addresses(count: int) -> tuple[str, ...]:
    """Return addresses that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses


def loaded(path: Path) -> list[list[Any]]:
    """Return the arrays of each case."""
    cases: dict[str, list[Any]] = {}
    with np.load(path) as arrays:
        for name in sorted(arrays):
            cases.setdefault(name.partition(".")[0], []).append(arrays[name])
    # A reference has no results for the two last cases.
    return [cases.get(f"{number:04}", []) for number in range(len(CASES) + 2)]


def refusal(case: Case, strategy: str) -> str | None:
    """Return how the refusal of `case` must begin, None when it must train."""
    if strategy == "server":
        if case["jit"]:
            return "trainer.jitCompile: got true"
        for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
            if option in case["options"]:
                return f"optimizer().{option}: got {case['options'][option]}"
    elif strategy != "one" and case["jit"] and case["norm"] == "synchronized":
        return "trainer.jitCompile: got true"
    return None


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_replicas_train_what_one_device_trains(results: Results, number: int, strategy: str) -> None:
    case, values = CASES[number], results[strategy][number]
    if expected := refusal(case, strategy):
        assert str(values[0]).startswith(expected)
        return
    reference = results[STRATEGIES[strategy]][number]
    # Half precision is rounded differently by each compiler and each order, and the optimizers amplify that.
    tolerance = 1e-6 if case["precision"] == "float32" else 2e-2
    assert len(values) == len(reference)
    for value, right in zip(values, reference, strict=True):
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance, err_msg=str(case))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_overflow_in_one_replica_makes_all_skip_the_same_steps(results: Results, strategy: str) -> None:
    counted, *weights = results[strategy][len(CASES)]
    assert all(np.isfinite(each).all() for each in weights)
    iterations, scale, _ = counted[-1]
    assert 0 < iterations[0] < 3000
    assert 0 < scale[0] < np.inf
    assert (counted == counted[:, :, :1]).all(), "the replicas of a process differ"
    if strategy.startswith("multi"):
        other = results["multi1" if strategy == "multi0" else "multi0"][len(CASES)]
        np.testing.assert_array_equal(counted, other[0])


@pytest.mark.parametrize("strategy", ["one", "mirrored2", "mirrored3", "multi"])
def test_each_replica_draws_its_own_random_numbers_and_new_ones_after_a_restart(
    results: Results, strategy: str
) -> None:
    tasks = ["multi0", "multi1"] if strategy == "multi" else [strategy]
    # [time, draw, replica, example, source]
    before, after, restarted = (
        np.concatenate([results[task][len(CASES) + 1][when] for task in tasks], axis=1) for when in range(3)
    )
    for drawn in ([before, after], [before, restarted]):
        numbers = np.stack(drawn)
        assert len(np.unique(numbers)) == numbers.size
    # What a layer keeps a state for continues exactly where it was.
    np.testing.assert_array_equal(after[..., 0], restarted[..., 0])
