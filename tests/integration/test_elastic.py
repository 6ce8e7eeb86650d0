"""An elastic MultiWorkerMirrored run: workers join, are killed and receive SIGTERM, and one model comes out."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.integration.elastic_group import ElasticGroup, elastic_group

pytestmark = pytest.mark.processes
STEPS = 1200
"""A minute or more, in which the workers change."""
TRAINER = {
    "task": "tests.programs.paced:Paced",
    "steps": STEPS,
    "checkpointEvery": 50,
    "summaryEvery": 50,
    "batchSize": 64,
}
ENV = {"TRAINER_MIN_WORKERS": "1", "TRAINER_RESCALE_AFTER": "20", "TRAINER_START_TIMEOUT": "400"}


def ends_well(group: ElasticGroup) -> None:
    """All workers end with 0, and the run is at its last step."""
    group.finish()
    assert group.done()["step"] == STEPS, group.logs()
    assert group.done()["metrics"]["accuracy"] > 0.9
    assert all(code in (0, 75, 143) for _, code in group.codes), group.codes


def starts(group: ElasticGroup, number: int) -> list[int]:
    """The steps at which a worker began to train, in order."""
    return [int(step) for step in re.findall(r"training from step (\d+) to", group.log(number))]


def test_run_starts_with_two_of_three_takes_in_the_third_and_goes_on_without_a_killed_leader(tmp_path: Path) -> None:
    with elastic_group(tmp_path, most=3, trainer=TRAINER, **ENV) as group:
        group.start(0, 1)
        group.trains_with(0, 1)
        group.saved_after(0)
        group.start(2)
        group.trains_with(0, 1, 2)
        [announced] = re.findall(r"other workers join: saved checkpoint (\d+)", group.log(0))
        assert starts(group, 1)[1] == int(announced), "an announced change loses no step"
        saved = group.saved_after(int(announced))
        leader = group.leader()
        group.kill(leader)
        others = [number for number in range(3) if number != leader]
        group.trains_with(*others)
        assert group.leader() in others
        assert starts(group, others[0])[-1] >= saved
        ends_well(group)


@pytest.mark.slow
def test_worker_that_receives_sigterm_and_returns_loses_no_step_and_its_group_is_the_same(tmp_path: Path) -> None:
    with elastic_group(tmp_path, most=2, trainer=TRAINER, **ENV) as group:
        group.start(0, 1)
        group.trains_with(0, 1)
        group.saved_after(0)
        group.signal(1, signal.SIGTERM)
        group.trains_with(0, 1, times=2)
        [saved] = re.findall(r"another task received SIGTERM; saved checkpoint (\d+)", group.log(0))
        assert starts(group, 0) == [0, int(saved)]
        ends_well(group)
        assert (1, 143) in group.codes


@pytest.mark.slow
def test_worker_that_hangs_is_left_out_and_returns(tmp_path: Path) -> None:
    with elastic_group(tmp_path, most=2, trainer=TRAINER, **ENV) as group:
        group.start(0, 1)
        group.trains_with(0, 1)
        group.saved_after(0)
        group.signal(1, signal.SIGSTOP)
        group.trains_with(0)
        group.signal(1, signal.SIGCONT)
        group.trains_with(0, 1, times=2)
        ends_well(group)


@pytest.mark.slow
def test_one_two_and_three_workers_train_the_same_weights_with_uneven_shares(tmp_path: Path) -> None:
    import tensorflow as tf

    weights = []
    for workers in (1, 2, 3):
        folder = tmp_path / str(workers)
        folder.mkdir()
        trainer = {"task": "tests.programs.shares:Shares", "steps": 60, "checkpointEvery": 60, "batchSize": 64}
        with elastic_group(folder, most=workers, trainer=trainer, **ENV) as group:
            group.start(*range(workers))
            group.finish()
            assert group.done()["step"] == 60, group.logs()
        reader = tf.train.load_checkpoint(str(folder / "run" / "checkpoints" / "ckpt-60"))
        names = [name for name in reader.get_variable_to_shape_map() if "/_trainable_variables/" in name]
        weights.append({name: reader.get_tensor(name) for name in names})
    one, *others = weights
    assert one
    for other in others:
        assert other.keys() == one.keys()
        for name, value in one.items():
            np.testing.assert_allclose(other[name], value, atol=1e-5, rtol=0)
