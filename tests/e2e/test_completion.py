"""Each strategy to completion, installed by hand as a user would."""

import json

import pytest

from devcluster.paths import CHECKOUT
from tests.e2e.team import Team, when

EXAMPLES = CHECKOUT / "jobs" / "examples"
STEP = r"step \d+/\d+ loss"


def time_it(team: Team, run: str, leader: str, began: float) -> None:
    """Note how long the run took to its first step, and all others to end after the leader."""
    log = team.log(run, leader)
    team.timings["helm install to first step"] = when(log, STEP) - began
    ends = [when(team.log(run, task), "exit 0:") for task in team.codes(run)]
    team.timings[f"{leader}'s exit to the last task's"] = max(ends) - when(log, "exit 0:")


@pytest.mark.smoke
def test_parameter_server(team: Team) -> None:
    """Chief, 2 ps, 2 workers, evaluator: all exit with 0, all Jobs Complete, accuracy >= 0.95, TensorBoard's Service
    answers with the run's scalars, no GPU held."""
    run = "digits-parameter-server"
    began = team.install(run, EXAMPLES / f"{run}.yaml")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "evaluator", "ps", "worker"], "Complete")
    assert end.codes == {name: [0] for name in ("chief-0", "evaluator-0", "ps-0", "ps-1", "worker-0", "worker-1")}
    assert team.done(run)["metrics"]["accuracy"] >= 0.95
    time_it(team, run, "chief-0", began)
    path = f"/api/v1/namespaces/{team.name}/services/{run}-tensorboard:http/proxy/data/plugin/scalars/tags"

    def scalars() -> set[str]:
        found = json.loads(team.kubectl("get", "--raw", path))
        return {tag for tags in found.values() for tag in tags}

    team.kubectl("rollout", "status", f"deployment/{run}-tensorboard", "--timeout=120s")
    team.wait("TensorBoard to show the run", lambda: {"loss", "steps_per_second"} <= scalars(), 60)


@pytest.mark.smoke
def test_multi_worker_mirrored(team: Team) -> None:
    """2 workers, no chief: both exit with 0, Job Complete, accuracy >= 0.95."""
    run = "digits-multi-worker"
    began = team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert end.jobs == {"worker": "Complete"}
    assert end.codes == {"worker-0": [0], "worker-1": [0]}
    assert team.done(run)["metrics"]["accuracy"] >= 0.95
    time_it(team, run, "worker-0", began)


@pytest.mark.smoke
def test_one_device(team: Team) -> None:
    """A chief only: exits with 0, accuracy >= 0.95."""
    run = "digits-one-device"
    began = team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"chief": "Complete"}, {"chief-0": [0]})
    assert team.done(run)["metrics"]["accuracy"] >= 0.95
    time_it(team, run, "chief-0", began)


@pytest.mark.smoke
def test_mirrored(team: Team) -> None:
    """A chief with a MirroredStrategy (on the CPU: no real GPU here): exits with 0, accuracy >= 0.95."""
    run = "digits-mirrored"
    team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false", "--set", "chief.gpus=0")
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"chief": "Complete"}, {"chief-0": [0]})
    assert team.done(run)["metrics"]["accuracy"] >= 0.95


def test_own_script(team: Team) -> None:
    """An unchanged TensorFlow script on 2 workers: both exit with 0, Job Complete, its checkpoint is in the run
    directory; `tfd status` reads its step from the log."""
    run = "own-script"
    team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"worker": "Complete"}, {"worker-0": [0], "worker-1": [0]})
    assert "ckpt-300" in team.read(f"{run}/checkpoints/checkpoint")
    now = team.tfd_status(run)
    assert (now["state"], now["progress"]["source"], now["progress"]["step"]) == ("done", "log", 300)


def test_own_script_parameter_server(team: Team) -> None:
    """A ParameterServer script under the trainer: chief, ps and workers exit with 0, all Jobs Complete, its checkpoint
    is in the run directory."""
    run = "own-script-parameter-server"
    team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert end.codes == {name: [0] for name in ("chief-0", "ps-0", "worker-0", "worker-1")}
    assert team.read(f"{run}/checkpoints/checkpoint")
