"""`tfd status`, `tfd logs` and `tfd tensorboard` show a run."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.e2e.kube import Kube
from tests.e2e.team import Team, job


def test_status_logs_and_tensorboard_show_an_active_run(team: Team) -> None:
    """While a run is active, `tfd status` shows step, rate, ETA and last checkpoint, `tfd logs` prints the log of any
    task, and `tfd tensorboard` prints an address that returns 200. After the end, `tfd status` shows `done` and the
    accuracy."""
    run = "watched"
    team.install(run, job("ParameterServer", 1500, tensorboard={"enabled": True}))
    team.saved(run)
    now = team.tfd_status(run)
    assert now["state"] == "running"
    progress = now["progress"]
    assert progress["source"] == "status.json"
    assert 0 < progress["step"] < progress["steps"] == 1500
    assert progress["stepsPerSecond"] > 0 and progress["etaSeconds"] > 0 and progress["lastCheckpoint"]["step"] > 0
    assert {role: each["states"] for role, each in now["roles"].items()} == {
        "chief": {"running": 1}, "ps": {"running": 1}, "worker": {"running": 2}
    }  # fmt: skip
    assert "serving on" in team.tfd("logs", run, "worker-1")
    assert "training from step 0 to 1500" in team.tfd("logs", f"{team.name}/{run}")

    team.kubectl("rollout", "status", f"deployment/{run}-tensorboard", "--timeout=120s")
    command = [sys.executable, "-m", "tfd", "tensorboard", run, "-n", team.name]
    with subprocess.Popen(command, env=os.environ | team.kube.env, text=True, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            [address] = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            with urllib.request.urlopen(f"{address}/data/environment", timeout=30) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()

    assert "exit 0" in team.tfd("logs", run, "--follow").splitlines()[-1]
    team.end(run)
    now = team.tfd_status(run)
    assert now["state"] == "done"
    assert now["progress"]["metrics"]["accuracy"] >= 0.95
    assert {task["state"] for task in now["tasks"].values()} == {"done"}


def test_status_names_the_quota_that_refuses_a_worker(team: Team, kube: Kube) -> None:
    """A ResourceQuota refuses the second worker: `tfd status` shows the message of the quota. With more quota, the run
    continues without a command, and all Jobs are Complete."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: only the cluster of `make cluster` simulates the GPUs that the quota counts")
    run = "refused"
    team.kubectl("create", "quota", "team", "--hard=requests.nvidia.com/gpu=1")
    team.install(run, job("ParameterServer", gpus=1))

    def refused() -> str | None:
        tasks = team.tfd_status(run)["tasks"]
        why = [task["why"] for name, task in tasks.items() if name.startswith("worker") and task["state"] == "waiting"]
        return why[0] if len(why) == 1 and "exceeded quota: team" in why[0] else None

    team.wait("tfd status to name the quota", refused)
    assert team.tfd_status(run)["state"] in ("waiting", "starting")
    team.kubectl(
        "patch", "quota", "team", "--type=merge", "-p", json.dumps({"spec": {"hard": {"requests.nvidia.com/gpu": "2"}}})
    )
    assert team.end(run).jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
