"""Every strategy runs to completion after a manual `helm install`."""

import json

import pytest

from devcluster.paths import CHECKOUT
from tests.e2e.team import Team, when

EXAMPLES = CHECKOUT / "jobs" / "examples"
STEP = r"step \d+/\d+ loss"


def time_it(team: Team, run: str, leader: str, began: float) -> None:
    """Record the time to the first step, and from the exit of the leader to the exit of the last task."""
    log = team.log(run, leader)
    team.timings["helm install to first step"] = when(log, STEP) - began
    ends = [when(team.log(run, task), "exit 0:") for task in team.codes(run)]
    team.timings[f"{leader}'s exit to the last task's"] = max(ends) - when(log, "exit 0:")


@pytest.mark.smoke
def test_parameter_server_run_completes(team: Team) -> None:
    """A chief, 2 ps, 2 workers and an evaluator all exit with 0. All Jobs are Complete, the accuracy is at least 0.95,
    TensorBoard's Service returns the scalars of the run, and no pod holds a GPU."""
    run = "digits-parameter-server"
    began = team.install(run, EXAMPLES / f"{run}.yaml")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "evaluator", "ps", "worker"], "Complete")
    assert end.codes == {name: [0] for name in ("chief-0", "evaluator-0", "ps-0", "ps-1", "worker-0", "worker-1")}
    assert team.done(run)["metrics"]["accuracy"] >= 0.95
    time_it(team, run, "chief-0", began)
    # A pod of the namespace asks, because the API server's proxy is outside of it.
    asking = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
    address = f"http://{run}-tensorboard:6006/data/plugin/scalars/tags"

    def scalars() -> set[str]:
        found = json.loads(team.kubectl("exec", "reader", "--", "python", "-c", asking, address))
        return {tag for tags in found.values() for tag in tags}

    team.kubectl("rollout", "status", f"deployment/{run}-tensorboard", "--timeout=120s")
    team.wait("TensorBoard to show the run", lambda: {"loss", "steps_per_second"} <= scalars(), 60)


@pytest.mark.smoke
def test_multi_worker_mirrored_run_completes(team: Team) -> None:
    """2 workers without a chief both exit with 0. The Job is Complete and the accuracy is at least 0.95."""
    run = "digits-multi-worker"
    began = team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert end.jobs == {"worker": "Complete"}
    assert end.codes == {"worker-0": [0], "worker-1": [0]}
    assert team.done(run)["metrics"]["accuracy"] >= 0.95
    time_it(team, run, "worker-0", began)


@pytest.mark.smoke
def test_one_device_run_completes(team: Team) -> None:
    """A chief alone exits with 0. The accuracy is at least 0.95."""
    run = "digits-one-device"
    began = team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"chief": "Complete"}, {"chief-0": [0]})
    assert team.done(run)["metrics"]["accuracy"] >= 0.95
    time_it(team, run, "chief-0", began)


@pytest.mark.smoke
def test_mirrored_run_completes(team: Team) -> None:
    """A chief with a MirroredStrategy exits with 0 (on the CPU, without a real GPU). The accuracy is at least 0.95."""
    run = "digits-mirrored"
    team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false", "--set", "chief.gpus=0")
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"chief": "Complete"}, {"chief-0": [0]})
    assert team.done(run)["metrics"]["accuracy"] >= 0.95


def test_custom_script_completes(team: Team) -> None:
    """An unchanged TensorFlow script runs on 2 workers, and both exit with 0. The Job is Complete, the checkpoint of
    the script is in the run directory, and `tfd status` reads the step from the log."""
    run = "own-script"
    team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"worker": "Complete"}, {"worker-0": [0], "worker-1": [0]})
    assert "ckpt-300" in team.read(f"{run}/checkpoints/checkpoint")
    now = team.tfd_status(run)
    assert (now["state"], now["progress"]["source"], now["progress"]["step"]) == ("done", "log", 300)


def test_custom_parameter_server_script_completes(team: Team) -> None:
    """A ParameterServer script runs under the trainer: chief, ps and workers exit with 0. All Jobs are Complete, and
    the checkpoint of the script is in the run directory."""
    run = "own-script-parameter-server"
    team.install(run, EXAMPLES / f"{run}.yaml", "--set", "tensorboard.enabled=false")
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert end.codes == {name: [0] for name in ("chief-0", "ps-0", "worker-0", "worker-1")}
    assert team.read(f"{run}/checkpoints/checkpoint")
