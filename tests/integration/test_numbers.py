"""N replicas train what one device trains with the global batch, or the combination is refused by name.

`make numbers` trains the whole cross product; here is a sample of it, and what else the replicas must agree on.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
import pytest

from tests.integration.numbers import runner
from tests.integration.numbers.cases import ALL, Case, other, parts_of, sample

pytestmark = [pytest.mark.processes]

PROCESSES: Final = ("one", "mirrored2", "mirrored3", "multi0", "multi1", "server")
OVERFLOWS: Final = sum(step % 37 == 5 or step % 97 == 3 for step in range(3000))
SAMPLE: Final = sample()
CASES: Final = [
    *SAMPLE,
    other("overflow", steps=3000, precision="mixed_float16"),
    other("random", "one", "mirrored2", "mirrored3", "multi"),
    other("counting"),
    other("agreement", "multi"),
    other("communication", "multi", precision="mixed_float16"),
    other("Clipped", "one", "mirrored2", "mirrored3", steps=3),
    other("Accumulating", "one", "mirrored2", steps=20),
    other("Overwriting", "one", "mirrored2", steps=20),
    other("Averaged", "one", "multi", steps=20),
    other("Apart", "multi", steps=40),
    other("Overflowing", "mirrored2", "multi", steps=60, precision="mixed_float16"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> runner.Results:
    """What comes out of all cases under all strategies."""
    return runner.train(CASES, tmp_path_factory.mktemp("numbers"))


def of(results: runner.Results, kind: str, process: str) -> dict[str, Any]:
    """Return the results of the case of that kind."""
    return results[process, [each["kind"] for each in CASES].index(kind)]


@pytest.mark.parametrize("number", range(len(SAMPLE)))
def test_replicas_train_what_one_device_trains(results: runner.Results, number: int) -> None:
    assert runner.differences(results, number, SAMPLE[number]) == []


def test_comparison_finds_a_difference_in_each_process(results: runner.Results) -> None:
    shifted = {
        (name, number): {
            key: value + 1e-3 if "/model/" in key and name in PROCESSES else value for key, value in each.items()
        }
        for (name, number), each in results.items()
    }
    found = [line for number in (0, 1) for line in runner.differences(shifted, number, SAMPLE[number])]
    count = {name: len([each for each in found if each.startswith(name)]) for name in PROCESSES}
    first, second = (len(SAMPLE[number]["branches"]) for number in (0, 1))
    of_server = len(parts_of(SAMPLE[1], "server"))
    assert 0 < of_server < second
    assert count == {
        "one": first,
        "multi0": first + second,
        "multi1": first + second,
        "server": of_server,
        "mirrored2": 0,
        "mirrored3": 0,
    }


def values(case: Case) -> list[dict[str, str]]:
    """Return the values of all dimensions of each branch of a case."""
    settings = {key: str(case[key]) for key in ("precision", "weights", "jit")}
    clips = ("clipnorm", "clipvalue", "global_clipnorm")
    others = ("gradient_accumulation_steps", "use_ema", "ema_overwrite_frequency")

    def options(part: Case, names: tuple[str, ...]) -> str:
        return str({key: value for key, value in part["options"].items() if key in names})

    return [
        {
            **settings,
            **{key: str(part[key]) for key in ("optimizer", "norm", "inputs")},
            "clip": options(part, clips),
            "accumulation": options(part, others),
        }
        for part in case["branches"]
    ]


def test_sample_has_all_pairs_of_values() -> None:
    branches = [each for case in SAMPLE for each in values(case)]
    for first, second in combinations(branches[0], 2):
        every = [{each[key] for each in branches} for key in (first, second)]
        pairs = {(each[first], each[second]) for each in branches}
        assert len(pairs) == len(every[0]) * len(every[1]), (first, second)
    assert {strategy for case in SAMPLE for strategy in case["strategies"]} == set(ALL)


@pytest.mark.parametrize("process", PROCESSES)
def test_overflow_in_one_replica_makes_all_skip_the_same_steps(results: runner.Results, process: str) -> None:
    found = of(results, "overflow", process)
    counted = found["counted"]
    assert np.isfinite(found["weights"]).all()
    iterations, scale, _ = counted[-1]
    assert 2000 < iterations[0] <= 3000 - OVERFLOWS
    assert 1 < scale[0] < np.inf
    assert (counted == counted[:, :, :1]).all(), "the replicas of a process differ"
    if process.startswith("multi"):
        other_worker = of(results, "overflow", "multi1" if process == "multi0" else "multi0")
        np.testing.assert_array_equal(counted, other_worker["counted"])


@pytest.mark.parametrize("strategy", ["one", "mirrored2", "mirrored3", "multi"])
def test_each_replica_draws_its_own_random_numbers_and_new_ones_after_a_restart(
    results: runner.Results, strategy: str
) -> None:
    found = [of(results, "random", each) for each in (["multi0", "multi1"] if strategy == "multi" else [strategy])]
    # [time, replica, example, source]
    before, after, restarted = (
        np.concatenate([each[when] for each in found], axis=1) for when in ("before", "after", "restarted")
    )
    for drawn in ([before, after], [before, restarted]):
        numbers = np.stack(drawn)
        assert len(np.unique(numbers)) == numbers.size
    # What a layer keeps a state for continues exactly where it was.
    np.testing.assert_array_equal(after[..., 0], restarted[..., 0])


@pytest.mark.parametrize(
    ("process", "mean", "seen", "large"),
    [
        ("one", 0.0, 84, False),
        ("server", 0.0, 84, False),
        ("mirrored2", 0.5, 42, False),
        ("mirrored3", 1.0, 28, True),
        ("multi0", 0.5, 42, False),
    ],
)
def test_what_layers_count_is_the_mean_over_replicas(
    results: runner.Results, process: str, mean: float, seen: int, large: bool
) -> None:
    found = of(results, "counting", process)
    counted = {name.rpartition("/")[2]: value for name, value in found.items() if name.startswith("exported/")}
    assert counted["mean"] == counted["own"] == pytest.approx(mean)
    assert counted["moving_mean"] == pytest.approx(np.full(4, mean))
    # The number of calls is that of one device. Each replica sees its part of the examples.
    assert (counted["calls"], counted["seen"], counted["large"]) == (7, seen, large)


def test_step_sums_all_gradients_at_once(results: runner.Results) -> None:
    assert of(results, "communication", "multi0")["reductions"] == 1


@pytest.mark.parametrize("process", ["multi0", "multi1"])
def test_workers_agree_whether_their_data_are_of_the_same_kind(results: runner.Results, process: str) -> None:
    found = {name: value.item() for name, value in of(results, "agreement", process).items()}
    own = int(process[-1])
    other_kind = "on this worker and other ones on another worker; expected the same dtypes and shapes on all workers."
    assert found.pop("shapes").startswith(
        f'dataset(context, "train"): got elements (float32 [6, {3 + own}], float32 [6]) {other_kind}'
    )
    assert found.pop("dtypes").startswith(
        f'dataset(context, "train"): got elements ({("float32", "float64")[own]} [6, 3], float32 [6]) {other_kind}'
    )
    assert found == {"same": True, "different": False, "empty": True, "data": ""}


@pytest.mark.parametrize("kind", ["Clipped", "Accumulating", "Overwriting"])
def test_clipping_accumulation_and_overwriting_act_on_the_sum(results: runner.Results, kind: str) -> None:
    right = of(results, kind, "one")
    processes = [each for each in PROCESSES if of(results, kind, each)]
    assert {"one", "mirrored2"} <= set(processes)
    for process in processes:
        for name, value in of(results, kind, process).items():
            np.testing.assert_allclose(value, right[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("process", ["one", "multi0"])
def test_averages_are_what_is_exported(results: runner.Results, process: str) -> None:
    found = of(results, "Averaged", process)
    average = next(value for name, value in found.items() if name.startswith("average/0/"))
    np.testing.assert_array_equal(found["exported/0/kernel"], average)
    assert abs(found["raw/0/kernel"] - average).max() > 0.01


def test_moving_mean_is_that_of_all_workers(results: runner.Results) -> None:
    # 0.5 and 10.5 are those of the workers.
    found = of(results, "Apart", "multi0")
    means = [each for name, each in found.items() if name.startswith("exported/") and name.endswith("/moving_mean")]
    assert means
    np.testing.assert_allclose(np.concatenate(means), 5.5, atol=1e-5)


@pytest.mark.parametrize("process", ["mirrored2", "multi0", "multi1"])
def test_overflow_of_one_replica_leaves_the_weights_finite(results: runner.Results, process: str) -> None:
    found = of(results, "Overflowing", process)
    assert len(found) == 8
    assert all(np.isfinite(each).all() for each in found.values())
